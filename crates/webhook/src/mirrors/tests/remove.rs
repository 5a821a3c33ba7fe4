//! The end of an installation.

use super::*;
use crate::mirrors::remove_all;

/// A mirror as the webhook writes it, of one installation.
fn mirror_of(fake: &FakeApiServer, namespace: &str, installation: &str) -> String {
    let name = mirror_name(namespace, &source(), Form::Env);
    let mirror = json!({"metadata": {
        "labels": {flyte_secrets_core::mirror::LABEL: "true"},
        "annotations": {
            flyte_secrets_core::mirror::SOURCE: source().to_string(),
            flyte_secrets_core::mirror::INSTALLATION: installation,
        },
    }});
    fake.cluster().put_in(namespace, "secrets", &name, mirror);
    name
}

#[tokio::test]
async fn every_mirror_of_the_installation_is_removed_and_nothing_else() {
    let fake = FakeApiServer::default();
    let (first, second) = (mirror_of(&fake, "a", "flyte/ours"), mirror_of(&fake, "b", "flyte/ours"));
    let theirs = mirror_of(&fake, "c", "flyte/theirs");
    fake.cluster().put_in("a", "secrets", "a-secret-of-somebody", json!({"metadata": {"labels": {}}}));

    assert_eq!(remove_all(&fake.client(), "flyte/ours", false).await.unwrap(), 2);

    assert!(fake.cluster().get_in("a", "secrets", &first).is_none());
    assert!(fake.cluster().get_in("b", "secrets", &second).is_none());
    assert!(fake.cluster().get_in("c", "secrets", &theirs).is_some());
    assert!(fake.cluster().get_in("a", "secrets", "a-secret-of-somebody").is_some());
}

#[tokio::test]
async fn a_dry_run_only_counts() {
    let fake = FakeApiServer::default();
    mirror_of(&fake, "a", "flyte/ours");

    assert_eq!(remove_all(&fake.client(), "flyte/ours", true).await.unwrap(), 1);

    assert_eq!(fake.cluster().count(&["delete"], "secrets"), 0);
}

#[tokio::test]
async fn a_missing_right_is_an_error_that_names_the_rule() {
    let fake = FakeApiServer::default();
    mirror_of(&fake, "a", "flyte/ours");
    fake.cluster().forbidden.insert("delete secrets");

    let error = remove_all(&fake.client(), "flyte/ours", false).await.unwrap_err();

    assert!(error.to_string().contains("delete"), "{error}");
}
