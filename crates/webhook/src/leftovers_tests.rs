use serde_json::{Value, json};

use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;

fn place(name: &str) -> Place {
    Place { namespace: "flyte".to_owned(), name: name.to_owned() }
}

fn managed_by(manager: &str) -> Value {
    json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": manager}}})
}

#[tokio::test]
async fn a_secret_of_ours_is_removed() {
    let fake = FakeApiServer::default();
    fake.cluster().put("secrets", "certificate", managed_by("flyte-secrets"));

    assert_eq!(remove_secret(&fake.client(), &place("certificate"), false).await.unwrap(), Removal::Removed);

    assert!(fake.cluster().get("secrets", "certificate").is_none());
}

#[tokio::test]
async fn a_secret_of_others_stays() {
    let fake = FakeApiServer::default();
    fake.cluster().put("secrets", "helms", managed_by("Helm"));
    fake.cluster().put("secrets", "somebodys", json!({"metadata": {}}));

    for name in ["helms", "somebodys"] {
        assert_eq!(remove_secret(&fake.client(), &place(name), false).await.unwrap(), Removal::NotOurs);
        assert!(fake.cluster().get("secrets", name).is_some());
    }
}

#[tokio::test]
async fn the_lease_is_removed() {
    let fake = FakeApiServer::default();
    fake.cluster().put("leases", "leader", json!({"metadata": {}, "spec": {"holderIdentity": "gone"}}));

    assert_eq!(remove_lease(&fake.client(), &place("leader"), false).await.unwrap(), Removal::Removed);

    assert!(fake.cluster().get("leases", "leader").is_none());
}

#[tokio::test]
async fn what_is_not_there_is_no_error() {
    let fake = FakeApiServer::default();

    assert_eq!(remove_secret(&fake.client(), &place("none"), false).await.unwrap(), Removal::Absent);
    assert_eq!(remove_lease(&fake.client(), &place("none"), false).await.unwrap(), Removal::Absent);
}

#[tokio::test]
async fn a_dry_run_removes_nothing() {
    let fake = FakeApiServer::default();
    fake.cluster().put("secrets", "certificate", managed_by("flyte-secrets"));
    fake.cluster().put("leases", "leader", json!({"metadata": {}}));

    assert_eq!(remove_secret(&fake.client(), &place("certificate"), true).await.unwrap(), Removal::Removed);
    assert_eq!(remove_lease(&fake.client(), &place("leader"), true).await.unwrap(), Removal::Removed);

    assert_eq!(fake.cluster().objects.len(), 2);
}

#[tokio::test]
async fn a_missing_right_is_an_error_that_names_the_rule() {
    let fake = FakeApiServer::default();
    fake.cluster().put("secrets", "certificate", managed_by("flyte-secrets"));
    fake.cluster().forbidden.insert("delete secrets");

    let error = remove_secret(&fake.client(), &place("certificate"), false).await.unwrap_err();

    assert!(error.to_string().contains("delete"), "{error}");
}
