//! What goes with a write: who may, who is told, and what happens to one whose caller went away.

use std::time::Duration;

use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_service::{AccessPolicy, Action, Identity};
use tower::ServiceExt;

use crate::support::{SERVICE, Service, code, named, post, secret};

#[tokio::test]
async fn caches_are_told_of_what_was_written_and_of_the_removal_of_what_is_not_there() {
    let service = Service::new();
    for (method, message, expected) in [
        ("CreateSecret", secret("a", "v"), 1),
        ("CreateSecret", secret("a", "v"), 0),
        ("UpdateSecret", secret("a", "w"), 1),
        ("UpdateSecret", secret("b", "w"), 0),
        ("GetSecret", named("a"), 0),
        ("DeleteSecret", named("a"), 1),
        ("DeleteSecret", named("a"), 1),
    ] {
        service.call(method, &message).await;
        assert_eq!(service.told(), expected, "{method}");
    }
}

/// Ann may do everything to what is hers; everybody may look.
struct Anns;

impl AccessPolicy for Anns {
    fn permits(&self, identity: &Identity, action: Action, id: &SecretId) -> bool {
        matches!(action, Action::Get) || (*identity == user("ann") && id.name.starts_with("ann"))
    }
}

fn user(name: &str) -> Identity {
    Identity::User { name: name.to_owned(), groups: Vec::new() }
}

#[tokio::test]
async fn the_policy_is_asked_who_may_do_what_before_anything_is_done() {
    let service = Service::with(Anns);
    let call = async |method: &str, message: serde_json::Value, identity: Option<&str>| {
        let mut request = post(&format!("{SERVICE}/{method}"), message.to_string());
        if let Some(subject) = identity {
            request.extensions_mut().insert(user(subject));
        }
        code(&service.send(request).await)
    };
    assert_eq!(call("CreateSecret", secret("ann-1", "v"), Some("ann")).await, "no error");
    assert_eq!(call("GetSecret", named("ann-1"), None).await, "no error");
    for (method, message) in [
        ("CreateSecret", secret("ann-2", "v")),
        ("UpdateSecret", secret("ann-1", "w")),
        ("DeleteSecret", named("ann-1")),
        ("ListSecrets", serde_json::json!({})),
    ] {
        assert_eq!(call(method, message.clone(), None).await, "permission_denied", "{method}");
        assert_eq!(call(method, message, Some("bob")).await, "permission_denied", "{method}");
    }
    assert_eq!(call("CreateSecret", secret("bobs", "v"), Some("ann")).await, "permission_denied");
    assert_eq!((service.stored("ann-1").as_deref(), service.told()), (Some("v"), 1));
}

#[tokio::test]
async fn a_write_goes_on_when_its_caller_goes_away() {
    let service = Service::new();
    for number in 0..20_u64 {
        let name = format!("a{number}");
        let request = post(&format!("{SERVICE}/CreateSecret"), secret(&name, "v").to_string());
        let call = service.router.clone().oneshot(request);
        let _ = tokio::time::timeout(Duration::from_micros(number * 100), call).await;
    }
    // Each was either not begun or is done as a whole: stored, and caches told.
    tokio::time::timeout(Duration::from_secs(10), async {
        while service.store.list().unwrap().len() != service.told.lock().unwrap().len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}
