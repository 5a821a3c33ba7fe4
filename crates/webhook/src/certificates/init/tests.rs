use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::kubernetes::fake_api_server::{Cluster, FakeApiServer};

const NAME: &str = "flyte-pod-webhook";
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn settings() -> InitSettings {
    InitSettings {
        namespace: "flyte".to_owned(),
        secret_name: NAME.to_owned(),
        names: CertificateNames::for_service(NAME, "flyte", &[]).unwrap(),
        cert_dir: None,
    }
}

fn pair_made_at(now: SystemTime) -> KeyPairPem {
    issue(&settings().names, now).unwrap()
}

fn pair() -> KeyPairPem {
    pair_made_at(SystemTime::now())
}

fn secret(pair: &KeyPairPem) -> Value {
    serde_json::to_value(with_pair(Secret::default(), pair)).unwrap()
}

/// As Flyte makes it: immutable and without our label.
fn flytes(pair: &KeyPairPem) -> Value {
    let mut secret = secret(pair);
    secret["immutable"] = true.into();
    secret["metadata"] = json!({});
    secret
}

fn server_with(object: Value) -> FakeApiServer {
    let server = FakeApiServer::default();
    server.cluster().put("secrets", NAME, object);
    server
}

fn stored(cluster: &Cluster) -> Secret {
    serde_json::from_value(cluster.get("secrets", NAME).unwrap().clone()).unwrap()
}

fn assert_stored(server: &FakeApiServer, pair: &KeyPairPem) {
    let stored = pair_in(stored(&server.cluster()).data.as_ref().unwrap()).unwrap();
    assert_eq!(stored.ca_crt, pair.ca_crt);
    assert_eq!(stored.tls_crt, pair.tls_crt);
    assert!(stored.tls_key.expose_bytes() == pair.tls_key.expose_bytes());
}

async fn run(server: &FakeApiServer) -> Result<(Outcome, KeyPairPem), InitError> {
    init(server.client(), &settings()).await
}

fn requests(server: &FakeApiServer) -> Vec<String> {
    server.cluster().requests.iter().map(|request| request.replace(" secrets", "")).collect()
}

#[tokio::test]
async fn without_a_secret_one_is_created_that_is_good_and_can_be_updated() {
    let server = FakeApiServer::default();
    let (outcome, pair) = run(&server).await.unwrap();
    assert_eq!(outcome, Outcome::Created);
    assert_stored(&server, &pair);
    let stored = stored(&server.cluster());
    assert_eq!(stored.immutable, None);
    assert!(is_ours(&stored));
    inspect(&pair, &settings().names, SystemTime::now()).unwrap();
}

#[tokio::test]
async fn a_second_run_keeps_the_certificate() {
    let server = FakeApiServer::default();
    let (_, first) = run(&server).await.unwrap();
    let (outcome, second) = run(&server).await.unwrap();
    assert_eq!(outcome, Outcome::Kept { expires_soon: false });
    assert_eq!(first.tls_crt, second.tls_crt);
    assert_eq!(requests(&server), ["get", "create", "get"]);
}

#[tokio::test]
async fn a_good_secret_of_flyte_is_kept() {
    let server = server_with(flytes(&pair()));
    assert_eq!(run(&server).await.unwrap().0, Outcome::Kept { expires_soon: false });
    assert_eq!(requests(&server), ["get"]);
}

#[tokio::test]
async fn an_expired_secret_is_updated_in_place_and_keeps_whatever_else_is_in_it() {
    let mut object = secret(&pair_made_at(SystemTime::now() - 11 * YEAR));
    object["data"]["other"] = "eA==".into();
    object["metadata"]["annotations"] = json!({"a": "b"});
    object["type"] = "kubernetes.io/tls".into();
    let server = server_with(object);
    let (outcome, pair) = run(&server).await.unwrap();
    assert!(outcome.to_string().starts_with("replaced the existing certificate: tls.crt expired at "), "{outcome}");
    assert_stored(&server, &pair);
    assert_eq!(requests(&server), ["get", "update"]);
    let stored = stored(&server.cluster());
    assert_eq!(stored.data.unwrap()["other"], ByteString(b"x".to_vec()));
    assert_eq!(stored.metadata.annotations.unwrap()["a"], "b");
    assert_eq!(stored.type_.unwrap(), "kubernetes.io/tls");
}

#[tokio::test]
async fn an_expired_immutable_secret_is_deleted_and_created() {
    let server = server_with(flytes(&pair_made_at(SystemTime::now() - 11 * YEAR)));
    let (outcome, pair) = run(&server).await.unwrap();
    assert!(matches!(outcome, Outcome::Replaced(_)));
    assert_stored(&server, &pair);
    assert_eq!(requests(&server), ["get", "delete", "create"]);
    assert_eq!(stored(&server.cluster()).immutable, None);
}

#[tokio::test]
async fn what_is_incomplete_empty_or_for_another_service_is_replaced_with_the_reason() {
    let without = |part: &str| {
        let mut object = secret(&pair());
        object["data"].as_object_mut().unwrap().remove(part);
        object
    };
    let mut no_text = secret(&pair());
    no_text["data"]["tls.crt"] = "/w==".into();
    let elsewhere = CertificateNames::for_service(NAME, "elsewhere", &[]).unwrap();
    let foreign = CertificateAuthority::new(SystemTime::now()).unwrap().issue(&elsewhere, SystemTime::now()).unwrap();
    for (object, reason) in [
        (without("ca.crt"), "ca.crt is missing"),
        (without("tls.crt"), "tls.crt is missing"),
        (without("tls.key"), "tls.key is missing"),
        (no_text, "tls.crt cannot be read: not PEM"),
        (json!({"metadata": {}}), "it was empty"),
        (secret(&foreign), "tls.crt is not valid for flyte-pod-webhook.flyte.svc"),
    ] {
        let server = server_with(object);
        assert_eq!(run(&server).await.unwrap().0, Outcome::Replaced(reason.to_owned()));
        assert_eq!(requests(&server), ["get", "update"]);
    }
}

#[tokio::test]
async fn in_its_last_thirty_days_our_own_certificate_is_replaced_and_that_of_another_is_kept() {
    let old = pair_made_at(SystemTime::now() - 10 * YEAR + Duration::from_secs(20 * 86_400));
    let ours = run(&server_with(secret(&old))).await.unwrap().0;
    assert!(ours.to_string().contains("it expires at "), "{ours}");
    let theirs = run(&server_with(flytes(&old))).await.unwrap().0;
    assert_eq!(theirs, Outcome::Kept { expires_soon: true });
}

#[tokio::test]
async fn a_secret_that_holds_something_else_is_left_alone() {
    let server = server_with(json!({"metadata": {}, "data": {"password": "aHVudGVyMg==", "user": "eA=="}}));
    let text = run(&server).await.unwrap_err().to_string();
    assert!(text.contains("flyte-pod-webhook in namespace flyte holds password, user"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(requests(&server), ["get"]);
}

#[tokio::test]
async fn a_missing_verb_is_named_with_the_object_and_the_rule() {
    let expired = pair_made_at(SystemTime::now() - 11 * YEAR);
    for (verb, existing) in
        [("get", None), ("create", None), ("update", Some(secret(&expired))), ("delete", Some(flytes(&expired)))]
    {
        let server = existing.map_or_else(FakeApiServer::default, server_with);
        server.cluster().forbidden.insert(verb);
        let text = run(&server).await.unwrap_err().to_string();
        assert!(text.contains(&format!("forbids to {verb} secrets {NAME} in namespace flyte")), "{text}");
        assert!(text.contains(&format!("verbs: [\"{verb}\"]")), "{text}");
    }
}

#[tokio::test]
async fn of_two_that_create_at_the_same_time_the_second_keeps_what_the_first_made() {
    let winner = pair();
    let server = FakeApiServer::default();
    let object = secret(&winner);
    server.meanwhile("create", move |cluster| cluster.put("secrets", NAME, object));
    let (outcome, kept) = run(&server).await.unwrap();
    assert_eq!(outcome, Outcome::Kept { expires_soon: false });
    assert_eq!(kept.tls_crt, winner.tls_crt);
    assert_stored(&server, &winner);
}

#[tokio::test]
async fn of_two_that_replace_at_the_same_time_the_second_keeps_what_the_first_made() {
    let expired = pair_made_at(SystemTime::now() - 11 * YEAR);
    for (verb, existing) in [("update", secret(&expired)), ("delete", flytes(&expired)), ("create", flytes(&expired))] {
        let winner = pair();
        let server = server_with(existing);
        let object = secret(&winner);
        server.meanwhile(verb, move |cluster| cluster.put("secrets", NAME, object));
        assert_eq!(run(&server).await.unwrap().0, Outcome::Kept { expires_soon: false }, "{verb}");
        assert_stored(&server, &winner);
    }
}

#[tokio::test]
async fn a_secret_that_disappears_meanwhile_is_created() {
    let server = server_with(secret(&pair_made_at(SystemTime::now() - 11 * YEAR)));
    server.meanwhile("update", |cluster| cluster.objects.clear());
    let (outcome, pair) = run(&server).await.unwrap();
    assert_eq!(outcome, Outcome::Created);
    assert_stored(&server, &pair);
}

#[tokio::test]
async fn with_a_folder_the_files_hold_what_the_secret_holds() {
    let folder = tempfile::tempdir().unwrap();
    let server = FakeApiServer::default();
    let settings = InitSettings { cert_dir: Some(folder.path().join("certs")), ..settings() };
    for expected in [Outcome::Created, Outcome::Kept { expires_soon: false }] {
        let (outcome, _) = init(server.client(), &settings).await.unwrap();
        assert_eq!(outcome, expected);
        assert_stored(&server, &load(&folder.path().join("certs")).await.unwrap());
        std::fs::remove_dir_all(folder.path().join("certs")).unwrap();
    }
}

#[tokio::test]
async fn without_a_cluster_the_files_are_made_kept_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let names = CertificateNames::for_hosts(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (outcome, made) = init_files(folder.path(), &names).await.unwrap();
    assert_eq!(outcome, Outcome::Created);
    let (outcome, kept) = init_files(folder.path(), &names).await.unwrap();
    assert_eq!(outcome, Outcome::Kept { expires_soon: false });
    assert_eq!(kept.tls_crt, made.tls_crt);

    let more = CertificateNames::for_hosts(&["example.com".to_owned()]).unwrap();
    let (outcome, _) = init_files(folder.path(), &more).await.unwrap();
    assert_eq!(outcome, Outcome::Replaced("tls.crt is not valid for example.com".to_owned()));
    inspect(&load(folder.path()).await.unwrap(), &more, SystemTime::now()).unwrap();
}

#[test]
fn outcomes_are_sentences() {
    assert_eq!(Outcome::Created.to_string(), "created a new certificate");
    assert_eq!(
        Outcome::Kept { expires_soon: true }.to_string(),
        "kept the existing certificate, which is valid and expires in less than 30 days"
    );
}
