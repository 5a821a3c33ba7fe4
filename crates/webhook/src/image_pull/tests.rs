use serde_json::{Value, json};

use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;

fn id() -> SecretId {
    let text = str::to_owned;
    SecretId { org: text("o"), domain: text("d"), project: text("p"), name: text("registry") }
}

fn name() -> String {
    secret_name(&id())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn original(data: &str) -> Value {
    json!({
        "metadata": {
            "labels": {"union.ai/secret-type": "image-pull-secret", "team": "t"},
            "annotations": {"note": "n", "kubectl.kubernetes.io/last-applied-configuration": "{\"data\": \"hunter2\"}"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}],
        },
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": data},
    })
}

struct Bed {
    server: FakeApiServer,
    secrets: PullSecrets,
}

impl Bed {
    fn new() -> Self {
        let server = FakeApiServer::default();
        server.cluster().put("secrets", &name(), original("b25l"));
        let secrets = PullSecrets::new(server.client(), "flyte");
        Self { server, secrets }
    }

    async fn find(&self) -> PullSecret {
        self.secrets.find(&id(), soon()).await.unwrap().unwrap()
    }

    async fn copied(&self) -> Result<Copied, PullSecretError> {
        self.secrets.copy(&self.find().await, "a", soon()).await
    }

    fn copy(&self) -> Value {
        self.server.cluster().get_in("a", "secrets", &name()).unwrap().clone()
    }

    fn data(&self) -> Value {
        self.copy()["data"][".dockerconfigjson"].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_copy_is_made_with_all_that_matters() {
    let bed = Bed::new();
    assert_eq!(bed.copied().await, Ok(Copied::Created));
    let copy = bed.copy();
    assert_eq!(copy["type"], "kubernetes.io/dockerconfigjson");
    assert_eq!(bed.data(), "b25l");
    let labels =
        json!({"union.ai/secret-type": "image-pull-secret", "team": "t", "secrets.flyte.org/image-pull-copy": "true"});
    assert_eq!(copy["metadata"]["labels"], labels);
    assert_eq!(copy["metadata"]["annotations"], json!({"note": "n"}));
    assert!(copy["metadata"]["ownerReferences"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_up_to_date_costs_one_read() {
    let bed = Bed::new();
    bed.copied().await.unwrap();
    bed.server.cluster().requests.clear();
    assert_eq!(bed.copied().await, Ok(Copied::Kept));
    assert_eq!(bed.server.cluster().requests, ["get secrets"]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_follows_its_original_and_keeps_what_others_added() {
    let bed = Bed::new();
    bed.copied().await.unwrap();
    let mut copy = bed.copy();
    copy["metadata"]["labels"]["other"] = "x".into();
    bed.server.cluster().put_in("a", "secrets", &name(), copy);
    bed.server.cluster().put("secrets", &name(), original("dHdv"));
    tokio::time::advance(LIFETIME).await;
    assert_eq!(bed.copied().await, Ok(Copied::Updated));
    assert_eq!(bed.data(), "dHdv");
    assert_eq!(bed.copy()["metadata"]["labels"]["other"], "x");
    assert_eq!(bed.copied().await, Ok(Copied::Kept));
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_flytes_is_updated_when_it_is_out_of_date() {
    let bed = Bed::new();
    bed.server.cluster().put_in("a", "secrets", &name(), original("b2xk"));
    assert_eq!(bed.copied().await, Ok(Copied::Updated));
    assert_eq!(bed.data(), "b25l");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_ours_is_used_as_it_is() {
    let bed = Bed::new();
    let foreign = json!({"type": "Opaque", "data": {"x": "eA=="}});
    bed.server.cluster().put_in("a", "secrets", &name(), foreign);
    let before = bed.copy();
    assert_eq!(bed.copied().await, Ok(Copied::NotOurs));
    assert_eq!(bed.copy(), before);
}

#[tokio::test(start_paused = true)]
async fn an_old_cache_neither_makes_nor_changes_a_copy() {
    let bed = Bed::new();
    let old = bed.find().await;
    bed.server.cluster().put("secrets", &name(), original("dHdv"));
    assert_eq!(bed.secrets.copy(&old, "a", soon()).await, Ok(Copied::Created));
    assert_eq!(bed.data(), "dHdv");
    assert_eq!(bed.secrets.copy(&old, "a", soon()).await, Ok(Copied::Kept));
    assert_eq!(bed.data(), "dHdv");
}

#[tokio::test(start_paused = true)]
async fn in_our_own_namespace_nothing_is_copied() {
    let bed = Bed::new();
    let found = bed.find().await;
    bed.server.cluster().requests.clear();
    assert_eq!(bed.secrets.copy(&found, "flyte", soon()).await, Ok(Copied::NotNeeded));
    assert!(bed.server.cluster().requests.is_empty());
}

#[tokio::test(start_paused = true)]
async fn that_there_is_none_is_remembered_for_ten_seconds() {
    let bed = Bed::new();
    bed.server.cluster().remove_in("flyte", "secrets", &name());
    for _ in 0..3 {
        assert!(bed.secrets.find(&id(), soon()).await.unwrap().is_none());
    }
    assert_eq!(bed.server.cluster().requests.len(), 1);
    bed.server.cluster().put("secrets", &name(), original("b25l"));
    tokio::time::advance(LIFETIME).await;
    assert!(bed.secrets.find(&id(), soon()).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn whoever_is_overtaken_looks_again() {
    let bed = Bed::new();
    bed.server.meanwhile("create", |cluster| cluster.put_in("a", "secrets", &name(), original("b2xk")));
    assert_eq!(bed.copied().await, Ok(Copied::Updated));
    bed.server.cluster().put_in("a", "secrets", &name(), original("b2xk"));
    bed.server.meanwhile("update", |cluster| cluster.put_in("a", "secrets", &name(), original("b25l")));
    assert_eq!(bed.copied().await, Ok(Copied::Kept));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_copied_is_told() {
    let bed = Bed::new();
    let found = bed.find().await;
    let copy = async || bed.secrets.copy(&found, "a", soon()).await.unwrap_err().to_string();
    bed.server.cluster().terminating.insert("a".to_owned());
    assert!(copy().await.contains("the namespace is being removed"));
    bed.server.cluster().terminating.clear();

    for change in [json!({"immutable": true}), json!({"type": "Opaque"})] {
        let mut fixed = original("b2xk");
        fixed.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        bed.server.cluster().put_in("a", "secrets", &name(), fixed);
        assert!(copy().await.contains("remove it"));
    }
    bed.server.cluster().put_in("a", "secrets", &name(), original("b2xk"));
    bed.server.cluster().forbidden.insert("update");
    let text = copy().await;
    assert!(text.contains(r#"{apiGroups: [""], resources: ["secrets"], verbs: ["update"]}"#), "{text}");
    bed.server.cluster().forbidden.clear();
    bed.server.cluster().failures.insert("update", (409, "Conflict", "modified"));
    assert!(copy().await.contains("try again"));
    bed.server.cluster().failures.clear();
    bed.server.cluster().remove_in("flyte", "secrets", &name());
    assert!(copy().await.contains("was removed"));
}

#[tokio::test]
async fn debug_shows_the_name_alone() {
    let text = format!("{:?}", Bed::new().find().await);
    assert_eq!(text, format!("PullSecret {{ name: {:?}, .. }}", name()));
}
