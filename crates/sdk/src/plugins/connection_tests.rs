#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use futures::executor::block_on;
use secrecy::ExposeSecret;

use super::*;
use crate::plugins::test_manager::TestManager;

const PROJECT: &str = "u__org__flyte__domain__development__project__flytesnacks__key__";

fn context(manager: &Arc<TestManager>) -> TaskExecutionContext {
    let mut context = TaskExecutionContext::new(Arc::<TestManager>::clone(manager));
    context.task_type = "k8s_job".to_owned();
    let id = &mut context.metadata.id;
    (id.org, id.domain, id.project) = ("flyte".to_owned(), "development".to_owned(), "flytesnacks".to_owned());
    context
}

fn connection(secrets: &[(&str, &str)]) -> Connection {
    let pair = |(name, key): &(&str, &str)| ((*name).to_owned(), (*key).to_owned());
    let configs = [("region".to_owned(), "eu".to_owned())].into();
    Connection { task_type: "k8s_job".to_owned(), secrets: secrets.iter().map(pair).collect(), configs }
}

#[test]
fn each_key_is_asked_for_by_the_encoded_id_of_the_tasks_project() {
    let ids = [format!("{PROJECT}jobs-key"), format!("{PROJECT}a__b")];
    let manager = Arc::new(TestManager::with(&[(&ids[0], "one"), (&ids[1], "two")]));
    let connection = connection(&[("api_key", "jobs-key"), ("password", "a__b")]);
    let resolved = block_on(connection.resolve(&context(&manager))).unwrap();
    assert_eq!(resolved.secret("api_key").unwrap().expose_secret(), "one");
    assert_eq!(resolved.secret("password").unwrap().expose_secret(), "two");
    assert!(resolved.secret("jobs-key").is_none(), "a value is found by the plugin's name for it");
    assert_eq!(resolved.config("region"), Some("eu"));
    assert_eq!(*manager.asked.lock().unwrap(), ids);
}

#[test]
fn all_secrets_that_are_missing_are_in_one_error() {
    let manager = Arc::new(TestManager::with(&[(&format!("{PROJECT}there"), "planted")]));
    let connection = connection(&[("a", "missing-1"), ("b", "there"), ("c", ""), ("d", "missing-2")]);
    let error = block_on(connection.resolve(&context(&manager))).unwrap_err();
    let text = error.to_string();
    for part in ["\"a\"", "missing-1", "\"c\"", "it is empty", "\"d\"", "missing-2", "asked the test"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("\"b\"") && !text.contains("planted"), "{text}");
    assert!(!error.retryable());
}

#[test]
fn a_connection_is_for_one_task_type() {
    let manager = Arc::new(TestManager::default());
    let mut other = connection(&[("a", "b")]);
    other.task_type = "snowflake".to_owned();
    let error = block_on(other.resolve(&context(&manager))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the connection is for tasks of type \"snowflake\", and this task's type is \"k8s_job\""
    );
    assert!(manager.asked.lock().unwrap().is_empty(), "nothing was asked");
    other.task_type.clear();
    assert!(matches!(block_on(other.resolve(&context(&manager))), Err(ConnectionError::Secrets(_))), "any type");
}

#[test]
fn the_number_of_secrets_is_bounded() {
    let names: Vec<String> = (0..=MAX_SECRETS).map(|n| format!("n{n}")).collect();
    let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), "key")).collect();
    let manager = Arc::new(TestManager::default());
    let error = block_on(connection(&pairs).resolve(&context(&manager))).unwrap_err();
    assert_eq!(error, ConnectionError::TooManySecrets { count: MAX_SECRETS + 1 });
}

#[test]
fn a_project_whose_ids_could_be_anothers_is_refused() {
    let manager = Arc::new(TestManager::default());
    let mut context = context(&manager);
    context.metadata.id.project = "p__key__a".to_owned();
    let error = block_on(connection(&[("a", "b")]).resolve(&context)).unwrap_err();
    assert!(matches!(error, ConnectionError::Ambiguous(_)), "{error}");
}

#[test]
fn no_value_is_printed() {
    let manager = Arc::new(TestManager::with(&[(&format!("{PROJECT}k"), "planted")]));
    let resolved = block_on(connection(&[("a", "k")]).resolve(&context(&manager))).unwrap();
    assert!(!format!("{resolved:?}").contains("planted"));
}

#[test]
fn a_connection_can_be_resolved_on_any_thread() {
    fn is_send(_: impl Send) {}
    let (connection, context) = (connection(&[("a", "b")]), context(&Arc::new(TestManager::default())));
    is_send(connection.resolve(&context));
}
