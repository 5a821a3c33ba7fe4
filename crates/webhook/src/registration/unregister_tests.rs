use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;

const RESOURCE: &str = "mutatingwebhookconfigurations";
const NAME: &str = "flyte-pod-webhook";

fn configuration(manager: &str, operation: &str, webhooks: &[&str]) -> Value {
    let key = format!("k:{{\"name\":\"{WEBHOOK_NAME}\"}}");
    let webhooks: Vec<Value> = webhooks.iter().map(|name| json!({"name": name})).collect();
    json!({
        "metadata": {"managedFields": [{
            "manager": manager, "operation": operation,
            "fieldsV1": {
                "f:metadata": {"f:annotations": {format!("f:{INJECT_CA_FROM}"): {}}},
                "f:webhooks": {key: {"f:name": {}}},
            },
        }]},
        "webhooks": webhooks,
    })
}

fn ours(webhooks: &[&str]) -> Value {
    configuration(FIELD_MANAGER, "Apply", webhooks)
}

async fn outcome(server: &FakeApiServer) -> Unregistered {
    unregister(server.client(), NAME, false).await.unwrap()
}

#[tokio::test]
async fn a_configuration_with_nothing_but_our_webhook_is_deleted_and_a_second_time_is_as_good() {
    for webhooks in [&[WEBHOOK_NAME][..], &[]] {
        let server = FakeApiServer::default();
        server.cluster().put(RESOURCE, NAME, ours(webhooks));
        assert_eq!(outcome(&server).await, Unregistered::Deleted);
        assert_eq!(server.cluster().get(RESOURCE, NAME), None);
        assert_eq!(outcome(&server).await, Unregistered::Absent);
    }
}

#[tokio::test]
async fn a_configuration_that_changes_meanwhile_is_read_again() {
    let server = FakeApiServer::default();
    server.cluster().put(RESOURCE, NAME, ours(&[WEBHOOK_NAME]));
    server.meanwhile("delete", |cluster| cluster.put(RESOURCE, NAME, ours(&[WEBHOOK_NAME, "other"])));
    assert_eq!(outcome(&server).await, Unregistered::TakenOut { others: vec!["other".to_owned()] });
}

#[tokio::test]
async fn of_a_configuration_with_others_webhooks_only_ours_is_taken_out() {
    let server = FakeApiServer::default();
    server.cluster().put(RESOURCE, NAME, ours(&["other", WEBHOOK_NAME]));
    assert_eq!(outcome(&server).await, Unregistered::TakenOut { others: vec!["other".to_owned()] });
    let cluster = server.cluster();
    let (_, patch) = &cluster.patches[0];
    assert_eq!(
        *patch,
        json!({
            "metadata": {"resourceVersion": "1", "annotations": {INJECT_CA_FROM: null}},
            "webhooks": [{"$patch": "delete", "name": WEBHOOK_NAME}],
        })
    );
}

#[tokio::test]
async fn what_others_have_made_stays() {
    for (there, managers) in [
        (configuration("flytepropeller", "Update", &[WEBHOOK_NAME]), vec!["flytepropeller".to_owned()]),
        (json!({"webhooks": [{"name": "other"}]}), vec![]),
    ] {
        let server = FakeApiServer::default();
        server.cluster().put(RESOURCE, NAME, there);
        assert_eq!(outcome(&server).await, Unregistered::NotOurs { managers });
        assert!(server.cluster().get(RESOURCE, NAME).is_some());
    }
}

#[tokio::test]
async fn without_the_right_to_delete_an_object_without_webhooks_stays() {
    let server = FakeApiServer::default();
    server.cluster().put(RESOURCE, NAME, ours(&[WEBHOOK_NAME]));
    server.cluster().forbidden.insert("delete");
    let Unregistered::Emptied { reason } = outcome(&server).await else { panic!("not emptied") };
    assert!(reason.contains("verbs: [\"delete\"]"), "{reason}");
    assert_eq!(server.cluster().patches[0].1["webhooks"][0]["$patch"], "delete");
}

#[tokio::test]
async fn what_may_not_be_read_is_an_error_that_names_the_rule() {
    let server = FakeApiServer::default();
    server.cluster().forbidden.insert("get");
    let text = unregister(server.client(), NAME, true).await.unwrap_err().to_string();
    assert!(text.contains("verbs: [\"get\"]"), "{text}");
}
