#![allow(clippy::unwrap_used)]

#[path = "write_tests/api_server.rs"]
mod api_server;

use data_encoding::BASE64;
use flyte_secrets_core::image_pull;
use flyte_secrets_core::value::SecretValue;
use serde_json::{Value, json};

use self::api_server::{ApiServer, Trouble};
use super::*;

const DOCKER: &str = r#"{"auths": {"ghcr.io": {"auth": "dTpw"}}}"#;

fn id(name: &str) -> SecretId {
    let [org, domain, project] = ["flyte", "development", "flytesnacks"].map(str::to_owned);
    SecretId { org, domain, project, name: name.to_owned() }
}

fn secret(name: &str, value: &str, kind: SecretKind) -> NewSecret {
    NewSecret { id: id(name), value: SecretValue::text(value.to_owned()), kind }
}

fn generic(name: &str, value: &str) -> NewSecret {
    secret(name, value, SecretKind::Generic)
}

fn pull(name: &str, value: &str) -> NewSecret {
    secret(name, value, SecretKind::ImagePull)
}

fn failure<T: std::fmt::Debug>(result: Result<T, WriteError>) -> WriteFailure {
    result.unwrap_err().failure()
}

fn value_in(object: &Value, key: &str) -> String {
    String::from_utf8(BASE64.decode(object["data"][key].as_str().unwrap().as_bytes()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_secret_looks_as_flytes_own_service_makes_it() {
    let server = ApiServer::default();
    server.writer().create(&generic("k", "v")).await.unwrap();
    let object = server.get("ddc1f24fc20de2a43d2f4b9122296cb6").unwrap();
    let key = "u__org__flyte__domain__development__project__flytesnacks__key__k";
    assert_eq!(object["type"], "Opaque");
    assert_eq!(object["data"], json!({key: "dg=="}));
    let labels = json!({
        "app.flyte.org/managed": "true",
        "app.flyte.org/domain": "development",
        "app.flyte.org/project": "flytesnacks",
    });
    assert_eq!(object["metadata"]["labels"], labels);
}

#[tokio::test]
async fn an_update_keeps_what_others_put_there_but_no_copy_of_the_old_value() {
    let server = ApiServer::default();
    let writer = server.writer();
    writer.create(&generic("k", "v")).await.unwrap();
    let name = name(&id("k"));
    server.change(&name, |object| {
        object["metadata"]["labels"]["theirs"] = json!("x");
        object["metadata"]["annotations"] =
            json!({"theirs": "y", "kubectl.kubernetes.io/last-applied-configuration": "the old value"});
    });
    writer.update(&generic("k", "w")).await.unwrap();
    let object = server.get(&name).unwrap();
    assert_eq!(value_in(&object, &id("k").to_string()), "w");
    assert_eq!(object["metadata"]["labels"]["theirs"], "x");
    assert_eq!(object["metadata"]["annotations"], json!({"theirs": "y"}));
}

#[tokio::test]
async fn what_is_there_or_not_is_told() {
    let server = ApiServer::default();
    let writer = server.writer();
    assert_eq!(failure(writer.update(&generic("k", "v")).await), WriteFailure::NotFound);
    assert_eq!(failure(writer.delete(&id("k")).await), WriteFailure::NotFound);
    assert_eq!(failure(writer.describe(&id("k")).await), WriteFailure::NotFound);
    writer.create(&generic("k", "v")).await.unwrap();
    assert_eq!(failure(writer.create(&generic("k", "w")).await), WriteFailure::AlreadyExists);
    let described = writer.describe(&id("k")).await.unwrap();
    assert_eq!((described.id, described.kind), (id("k"), SecretKind::Generic));
    assert!(described.created.is_some());
    writer.delete(&id("k")).await.unwrap();
    assert_eq!(server.names(), [""; 0]);
}

#[tokio::test]
async fn an_update_is_made_on_top_of_that_of_another_or_not_at_all() {
    let server = ApiServer::default();
    let writer = server.writer();
    writer.create(&generic("k", "v")).await.unwrap();
    server.trouble(Trouble::ChangedBeforeReplace(3));
    writer.update(&generic("k", "w")).await.unwrap();
    assert_eq!(value_in(&server.get(&name(&id("k"))).unwrap(), &id("k").to_string()), "w");
    server.trouble(Trouble::ChangedBeforeReplace(u32::MAX));
    assert_eq!(failure(writer.update(&generic("k", "x")).await), WriteFailure::Conflict);
    assert_eq!(value_in(&server.get(&name(&id("k"))).unwrap(), &id("k").to_string()), "w", "nothing was changed");
}

#[tokio::test]
async fn beside_an_image_pull_secret_stands_one_that_a_kubelet_reads() {
    let server = ApiServer::default();
    let writer = server.writer();
    let beside = image_pull::secret_name(&id("k"));
    writer.create(&pull("k", DOCKER)).await.unwrap();
    let object = server.get(&beside).unwrap();
    assert_eq!(object["type"], "kubernetes.io/dockerconfigjson");
    assert_eq!(value_in(&object, ".dockerconfigjson"), DOCKER);
    let labels = json!({
        "union.ai/secret-type": "image-pull-secret",
        "union.ai/org": "flyte",
        "union.ai/project": "flytesnacks",
        "union.ai/domain": "development",
        "union.ai/secret-name": "k",
    });
    assert_eq!(object["metadata"]["labels"], labels);
    assert_eq!(writer.describe(&id("k")).await.unwrap().kind, SecretKind::ImagePull);

    let other = DOCKER.replace("dTpw", "dTpx");
    writer.update(&generic("k", &other)).await.unwrap();
    assert_eq!(value_in(&server.get(&beside).unwrap(), ".dockerconfigjson"), other);
    assert_eq!(failure(writer.update(&generic("k", "planted")).await), WriteFailure::Invalid);
    writer.delete(&id("k")).await.unwrap();
    assert_eq!(server.names(), [""; 0]);
}

#[tokio::test]
async fn the_retry_of_a_write_that_ended_half_way_finishes_it() {
    let server = ApiServer::default();
    let writer = server.writer();
    let beside = image_pull::secret_name(&id("k"));
    writer.create(&pull("k", DOCKER)).await.unwrap();
    server.remove(&beside);
    assert_eq!(failure(writer.create(&pull("k", DOCKER)).await), WriteFailure::AlreadyExists);
    assert_eq!(value_in(&server.get(&beside).unwrap(), ".dockerconfigjson"), DOCKER);
    server.remove(&name(&id("k")));
    assert_eq!(failure(writer.delete(&id("k")).await), WriteFailure::NotFound);
    assert_eq!(server.names(), [""; 0]);
}

#[tokio::test]
async fn a_list_reads_metadata_only_unless_it_does_not_tell_the_id() {
    let server = ApiServer::default();
    let writer = server.writer();
    for name in ["b", "a", "c"] {
        writer.create(&generic(name, "v")).await.unwrap();
    }
    writer.create(&pull("pull", DOCKER)).await.unwrap();
    server.put_foreign();
    let list = async || {
        let page = writer.list(&id(""), PageRequest { after: None, limit: 10 }).await.unwrap();
        page.secrets.into_iter().map(|secret| secret.id.name).collect::<Vec<_>>()
    };
    server.forget_requests();
    assert_eq!(list().await, ["a", "b", "c", "pull"]);
    assert!(server.requests().iter().all(|request| !request.contains("/secrets/")), "{:?}", server.requests());
    server.change(&name(&id("b")), |object| object["metadata"]["managedFields"] = json!([]));
    assert_eq!(list().await, ["a", "b", "c", "pull"]);
    let other = SecretId { domain: "other".to_owned(), project: String::new(), ..id("") };
    assert!(writer.list(&other, PageRequest { after: None, limit: 10 }).await.unwrap().secrets.is_empty());
}

#[tokio::test]
async fn what_kubernetes_cannot_hold_is_refused_before_it_is_asked() {
    let server = ApiServer::default();
    let writer = server.writer();
    let long = "x".repeat(200);
    let with = |domain: &str, project: &str, name: &str| SecretId {
        domain: domain.to_owned(),
        project: project.to_owned(),
        ..id(name)
    };
    for id in [
        with("development", "flytesnacks", &long),
        with("", "p", "k"),
        with("d", "p", ""),
        with("d", "p", "a/b"),
        with("d", "p", "ä"),
        with("a__b", "p", "k"),
        with("d", &"x".repeat(64), "k"),
        with("d,app.flyte.org/managed", "", "k"),
        with("-d", "", "k"),
    ] {
        assert_eq!(failure(writer.check(&id)), WriteFailure::Invalid, "{id}");
        let secret = NewSecret { id: id.clone(), ..generic("", "v") };
        assert_eq!(failure(writer.create(&secret).await), WriteFailure::Invalid, "{id}");
        assert_eq!(failure(writer.update(&secret).await), WriteFailure::Invalid, "{id}");
    }
    for id in [with("d", "p", "a__b"), with("", "", &long), with("d", "p", "a.b"), with("d", "p", "..")] {
        writer.check(&id).unwrap();
    }
    let large = generic("k", &"x".repeat((1 << 20) + 1));
    assert_eq!(failure(writer.create(&large).await), WriteFailure::Invalid);
    assert_eq!(failure(writer.create(&pull("k", "planted")).await), WriteFailure::Invalid);
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn what_the_api_server_says_becomes_a_failure_that_quotes_no_value() {
    let server = ApiServer::default();
    let writer = server.writer();
    for (code, reason, message, expected) in [
        (401, "Unauthorized", "no", WriteFailure::Denied),
        (403, "Forbidden", "cannot create resource", WriteFailure::Denied),
        (403, "Forbidden", "secrets \"x\" is forbidden: exceeded quota: q", WriteFailure::Full),
        (404, "NotFound", "namespaces \"flyte\" not found", WriteFailure::Unavailable),
        (400, "BadRequest", "illegal base64: planted", WriteFailure::Invalid),
        (422, "Invalid", "data: Invalid value: \"planted\"", WriteFailure::Invalid),
        (429, "TooManyRequests", "slow down", WriteFailure::Unavailable),
        (500, "InternalError", "etcd", WriteFailure::Unavailable),
    ] {
        server.trouble(Trouble::Answer(code, reason, message));
        let error = writer.create(&generic("k", "v")).await.unwrap_err();
        assert_eq!(error.failure(), expected, "{code}: {error}");
        assert!(!error.to_string().contains("planted"), "{error}");
    }
    server.trouble(Trouble::Silence);
    assert_eq!(failure(writer.create(&generic("k", "v")).await), WriteFailure::Late);
}

#[tokio::test]
async fn of_many_who_create_at_once_one_does_and_every_update_that_was_confirmed_was_made() {
    let server = ApiServer::default();
    let (one, other) = (server.writer(), server.writer());
    let create = |number: usize| {
        let writer = if number.is_multiple_of(2) { one.clone() } else { other.clone() };
        async move { writer.create(&generic("k", &number.to_string())).await }
    };
    let created = futures::future::join_all((0..40).map(create)).await;
    assert_eq!(created.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(created.into_iter().filter_map(Result::err).all(|error| error.failure() == WriteFailure::AlreadyExists));
    let update = |number: usize| {
        let writer = if number.is_multiple_of(2) { one.clone() } else { other.clone() };
        async move { writer.update(&generic("k", &format!("u{number}"))).await.map(|()| format!("u{number}")) }
    };
    let updated = futures::future::join_all((0..40).map(update)).await;
    let made = server.values_of(&name(&id("k")), &id("k").to_string());
    for value in updated.iter().flatten() {
        assert_eq!(made.iter().filter(|made| *made == value).count(), 1, "{value}");
    }
    assert_eq!(made.len(), 1 + updated.iter().flatten().count(), "what was not confirmed was not made");
}
