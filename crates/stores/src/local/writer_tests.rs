#![allow(clippy::unwrap_used)]

use std::path::Path;

use flyte_secrets_core::value::SecretValue;

use super::*;
use crate::local::{Places, Unlock};

const DOCKER: &str = r#"{"auths": {"ghcr.io": {"auth": "dTpw"}}}"#;

fn store(folder: &Path) -> LocalStore {
    let places = Places { file: folder.join("secrets.age"), key: folder.join("key.txt") };
    LocalStore::open(places, Unlock::KeyFile).unwrap()
}

fn id(name: &str) -> SecretId {
    SecretId { org: "flyte".to_owned(), name: name.to_owned(), ..SecretId::default() }
}

fn secret(name: &str, value: &str, kind: SecretKind) -> NewSecret {
    NewSecret { id: id(name), value: SecretValue::text(value.to_owned()), kind }
}

fn failure<T: std::fmt::Debug>(result: Result<T, WriteError>) -> WriteFailure {
    result.unwrap_err().failure()
}

#[tokio::test]
async fn a_secret_is_created_once_and_then_updated_described_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store: &dyn SecretWriter = &store(folder.path());
    let (first, second) = (secret("a", "v", SecretKind::Generic), secret("a", "w", SecretKind::Generic));
    assert_eq!(failure(store.update(&first).await), WriteFailure::NotFound);
    store.create(&first).await.unwrap();
    assert_eq!(failure(store.create(&second).await), WriteFailure::AlreadyExists);
    store.update(&second).await.unwrap();
    let described = store.describe(&id("a")).await.unwrap();
    assert_eq!((described.id, described.kind), (id("a"), SecretKind::Generic));
    assert!(described.created.unwrap() > UNIX_EPOCH);
    assert_eq!(self::store(folder.path()).get(&id("a")).unwrap().expose_text(), Some("w"));
    store.delete(&id("a")).await.unwrap();
    assert_eq!(failure(store.delete(&id("a")).await), WriteFailure::NotFound);
    assert_eq!(failure(store.describe(&id("a")).await), WriteFailure::NotFound);
}

#[tokio::test]
async fn the_kind_of_a_secret_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let writer: &dyn SecretWriter = &store;
    assert_eq!(failure(writer.create(&secret("pull", "planted", SecretKind::ImagePull)).await), WriteFailure::Invalid);
    writer.create(&secret("pull", DOCKER, SecretKind::ImagePull)).await.unwrap();
    writer.create(&secret("other", "v", SecretKind::Generic)).await.unwrap();
    assert_eq!(failure(writer.update(&secret("other", DOCKER, SecretKind::ImagePull)).await), WriteFailure::Invalid);
    let error = writer.update(&secret("pull", "planted", SecretKind::Generic)).await.unwrap_err();
    assert!(error.failure() == WriteFailure::Invalid && !error.to_string().contains("planted"), "{error}");
    writer.update(&secret("pull", &DOCKER.replace("dTpw", "dTpx"), SecretKind::Generic)).await.unwrap();
    assert_eq!(writer.describe(&id("pull")).await.unwrap().kind, SecretKind::ImagePull);
    assert!(store.get(&id("pull")).unwrap().expose_text().unwrap().contains("dTpx"));
    assert_eq!(store.get(&id("other")).unwrap().expose_text(), Some("v"));
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let writer: &dyn SecretWriter = &store;
    let ambiguous = SecretId { domain: "a__b".to_owned(), ..id("k") };
    assert_eq!(failure(writer.check(&ambiguous)), WriteFailure::Invalid);
    assert_eq!(failure(writer.check(&id(&"x".repeat(5000)))), WriteFailure::Invalid);
    let large = secret("a", &"x".repeat((1 << 20) + 1), SecretKind::Generic);
    assert_eq!(failure(writer.create(&large).await), WriteFailure::Invalid);
    assert!(!folder.path().join("secrets.age").exists());
}

#[tokio::test]
async fn lists_come_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let writer: &dyn SecretWriter = &store;
    for name in ["b", "c", "a"] {
        writer.create(&secret(name, "v", SecretKind::Generic)).await.unwrap();
    }
    let scope = id("");
    let page = |after| writer.list(&scope, PageRequest { after, limit: 2 });
    let first = page(None).await.unwrap();
    let second = page(first.next.clone()).await.unwrap();
    let names = |page: &Page| page.secrets.iter().map(|secret| secret.id.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&first), names(&second), second.next),
        (vec!["a".into(), "b".into()], vec!["c".to_owned()], None)
    );
}
