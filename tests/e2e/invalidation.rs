//! When a changed value is seen: after its time to live, at `POST /invalidate-secret`, or as soon as a watch tells.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::api::Failure;
use crate::harness::identity::{service_account, token_of};
use crate::harness::plain_http::post_text;
use crate::harness::pod::variable;
use crate::harness::webhook::{free_port, local_store, merge};
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

const PATH: &str = "/invalidate-secret";
/// The stored id, and the name of its Secret (its MD5, made with md5sum).
const ID: &str = "u__org__flyte__domain__development__project__flytesnacks__key__k";
const STORED: &str = "ddc1f24fc20de2a43d2f4b9122296cb6";

/// What Flyte's Secret service sends when the secret changes.
fn changed() -> String {
    json!({"org": "flyte", "domain": "development", "project": "flytesnacks", "name": "k"}).to_string()
}

/// A webhook over a local store, and the address at which it takes invalidations.
async fn local(namespace: &Namespace, more: Value) -> (Webhook, String) {
    let port = free_port();
    let mut section = json!({
        "secretManagerTypes": ["Embedded"], "embeddedSecretManagerConfig": local_store(), "cacheInvalidationPort": port,
    });
    merge(&mut section, more);
    (Webhook::start(namespace, Setup::with(section)).await, format!("127.0.0.1:{port}"))
}

/// What a pod that asks for the secret would get now.
async fn value(namespace: &Namespace) -> Result<String, Failure> {
    let wanted = request(&[("key", "k"), ("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")]);
    let tried = namespace.try_pod(&task_pod("asking", &[wanted])).await?;
    Ok(variable(&tried, "main", "WANTED")["value"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_new_value_is_seen_when_the_old_one_is_invalidated() {
    let namespace = bed().namespace("rotated").await;
    let (webhook, address) = local(&namespace, json!({})).await;
    webhook.import(&json!({ID: "planted old"})).await;
    assert_eq!(value(&namespace).await.unwrap(), "planted old");

    webhook.import(&json!({ID: "planted new"})).await;
    assert_eq!(value(&namespace).await.unwrap(), "planted old", "it is cached for 5 minutes");
    assert_eq!(post_text(&address, PATH, "", &changed()).await.0, 200);

    assert_eq!(value(&namespace).await.unwrap(), "planted new");
}

#[tokio::test]
async fn what_was_missing_is_asked_for_again_when_it_is_invalidated() {
    let namespace = bed().namespace("missed").await;
    // So long that no miss ends by itself.
    let more = json!({"embeddedSecretManagerConfig": {"notFoundTtl": "5m"}});
    let (webhook, address) = local(&namespace, more).await;
    assert_eq!(value(&namespace).await.unwrap_err().code, 400);

    webhook.import(&json!({ID: "planted late"})).await;
    assert_eq!(value(&namespace).await.unwrap_err().code, 400, "the miss is cached");
    assert_eq!(post_text(&address, PATH, "", &changed()).await.0, 200);

    assert_eq!(value(&namespace).await.unwrap(), "planted late");
}

#[tokio::test]
async fn what_is_no_invalidation_is_refused() {
    let namespace = bed().namespace("no-invalidation").await;
    let (_webhook, address) = local(&namespace, json!({})).await;

    assert_eq!(get(&address, PATH).await, 405);
    for body in [json!({"org": "flyte"}).to_string(), json!({"name": ""}).to_string(), "no JSON".to_owned()] {
        assert_eq!(post_text(&address, PATH, "", &body).await.0, 400, "{body}");
    }
    assert_eq!(post_text(&address, "/elsewhere", "", &changed()).await.0, 404);
}

#[tokio::test]
async fn an_excess_of_invalidations_is_answered_with_429() {
    let namespace = bed().namespace("hammered").await;
    let (_webhook, address) = local(&namespace, json!({"invalidation": {"perIdPerMinute": 1}})).await;

    assert_eq!(post_text(&address, PATH, "", &changed()).await.0, 200);
    assert_eq!(post_text(&address, PATH, "", &changed()).await.0, 429);
    let other = json!({"org": "flyte", "name": "other"}).to_string();
    assert_eq!(post_text(&address, PATH, "", &other).await.0, 200, "each secret has a limit of its own");
}

#[tokio::test]
async fn with_token_review_only_the_service_accounts_that_are_named_may() {
    let (namespace, stranger) = (bed().namespace("reviewed").await, bed().namespace("stranger").await);
    let allowed = format!("{}/webhook", namespace.name);
    let more = json!({"invalidation": {"authentication": "TokenReview", "allowedServiceAccounts": [allowed]}});
    let (_webhook, address) = local(&namespace, more).await;
    let authorization = |kubeconfig: PathBuf| format!("Authorization: Bearer {}\r\n", token_of(&kubeconfig));
    let ours = authorization(service_account(&namespace, json!([])).await);
    let theirs = authorization(service_account(&stranger, json!([])).await);

    for (who, header, status) in [
        ("nobody", "", 401),
        ("an invented token", "Authorization: Bearer invented\r\n", 401),
        ("another account", &*theirs, 403),
        ("the account", &*ours, 200),
    ] {
        assert_eq!(post_text(&address, PATH, header, &changed()).await.0, status, "{who}");
    }
}

#[tokio::test]
async fn a_watched_secret_that_changes_is_seen_at_once() {
    let namespace = bed().namespace("watched").await;
    let _webhook = Webhook::start(&namespace, Setup::with(kubernetes(&namespace))).await;
    store(&namespace, "planted old").await;
    assert_eq!(value(&namespace).await.unwrap(), "planted old");

    change(&namespace, "planted new").await;

    // A value lives for 5 minutes.
    eventually("the new value", 5, || seen(&namespace, "planted new")).await;
}

#[tokio::test]
async fn without_the_right_to_watch_a_change_is_seen_in_time_and_the_log_says_what_to_grant() {
    let namespace = bed().namespace("unwatched").await;
    let rules = json!([
        {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
         "verbs": ["get", "create", "patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update", "patch"]},
    ]);
    let mut setup = Setup::with(kubernetes(&namespace));
    setup.kubeconfig = Some(service_account(&namespace, rules).await);
    setup.env.push(("CACHE_INMEMORYFIXEDSIZE_DEFAULTEXPIRATION".to_owned(), "2s".to_owned()));
    let webhook = Webhook::start(&namespace, setup).await;
    store(&namespace, "planted old").await;
    assert_eq!(value(&namespace).await.unwrap(), "planted old");

    change(&namespace, "planted new").await;

    eventually("the new value", 10, || seen(&namespace, "planted new")).await;
    let logged = webhook.logged();
    let line = logged.lines().find(|line| line.contains("resources: [secrets], verbs: [get, list, watch]"));
    let line = line.unwrap_or_else(|| panic!("no such advice: {logged}"));
    assert!(line.contains(&namespace.name), "{line}");
}

/// The Embedded manager over the Secrets of this namespace.
fn kubernetes(namespace: &Namespace) -> Value {
    json!({
        "secretManagerTypes": ["Embedded"],
        "embeddedSecretManagerConfig": {"type": "K8s", "k8sConfig": {"namespace": namespace.name}},
    })
}

fn stored(value: &str) -> Value {
    json!({"metadata": {"name": STORED}, "stringData": {ID: value}})
}

async fn store(namespace: &Namespace, value: &str) {
    namespace.api.create(&namespace.path("secrets"), &stored(value)).await.unwrap();
}

async fn change(namespace: &Namespace, value: &str) {
    namespace.api.replace(&format!("{}/{STORED}", namespace.path("secrets")), &stored(value)).await.unwrap();
}

async fn seen(namespace: &Namespace, expected: &str) -> Result<(), String> {
    match value(namespace).await {
        Ok(value) if value == expected => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// The status of a GET.
async fn get(address: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap()
}
