//! The Vault store against a fake at the protocol's edge, for what a real server does rarely, and to count calls.
//! The bodies are what OpenBao 2.7 answers.
#![cfg(feature = "vault")]
#![allow(clippy::unwrap_used)]

mod edge;
#[path = "vault_write/edge.rs"]
mod write;
#[path = "common/writers.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod writers;

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::{Edge, Reply, Seen, class, closed_port, error, id, logs, text};
use flyte_secrets_stores::vault::{TokenSource, VaultAuth, VaultSettings, VaultStore};
use flyte_secrets_stores::{FailureClass, SecretFetcher};
use futures::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

const LOGIN: &str = "POST /v1/auth/kubernetes/login";
const RENEW: &str = "POST /v1/auth/token/renew-self";
const SECRET: &str = "GET /v1/secret/data/";

fn line(seen: &Seen) -> String {
    format!("{} {}", seen.method, seen.target)
}

fn auth(token: &str, lease: u64, renewable: bool) -> Reply {
    let auth = json!({"client_token": token, "lease_duration": lease, "renewable": renewable, "policies": ["default"]});
    Reply::new(200, json!({"request_id": "r", "data": null, "auth": auth}))
}

fn value(text: &str) -> Reply {
    Reply::new(200, json!({"request_id": "r", "data": {"data": {"value": text}, "metadata": {"version": 1}}}))
}

fn denied() -> Reply {
    Reply::new(403, json!({"errors": ["permission denied"]}))
}

/// Answers logins with a token without end, and everything else by `others`.
fn after_login(others: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> impl Fn(&Seen) -> Reply + Send + Sync {
    move |seen| if line(seen) == LOGIN { auth("t", 0, false) } else { others(seen) }
}

/// A fake and a store that logs in to it as a pod does.
struct Vault {
    edge: Edge,
    files: TempDir,
}

impl Vault {
    async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let vault = Self { edge: Edge::start(answer).await, files: tempfile::tempdir().unwrap() };
        fs::write(vault.files.path().join("token"), "planted-jwt\n").unwrap();
        vault
    }

    fn settings(&self) -> VaultSettings {
        let auth = VaultAuth::Kubernetes {
            mount: "kubernetes".to_owned(),
            role: "webhook".to_owned(),
            token_path: self.files.path().join("token"),
        };
        VaultSettings::new(self.edge.url(), auth)
    }

    fn store(&self) -> VaultStore {
        VaultStore::new(self.settings()).unwrap()
    }

    /// Impatient where the test waits for that.
    fn store_for(&self, expected: FailureClass) -> VaultStore {
        let short = expected == FailureClass::Late;
        let timeout = if short { Duration::from_millis(300) } else { Duration::from_secs(10) };
        VaultStore::new(VaultSettings { timeout, ..self.settings() }).unwrap()
    }
}

#[tokio::test]
async fn a_pod_logs_in_with_its_role_and_the_token_of_its_service_account() {
    let vault = Vault::start(after_login(|_| value("v"))).await;
    let settings = VaultSettings {
        namespace: Some("team/a".to_owned()),
        path_prefix: "flyte secrets".to_owned(),
        ..vault.settings()
    };
    assert_eq!(text(&VaultStore::new(settings).unwrap(), "k#%2f").await, "v");
    let seen = vault.edge.requests();
    assert_eq!(line(&seen[0]), LOGIN);
    assert_eq!(seen[0].json(), json!({"role": "webhook", "jwt": "planted-jwt"}));
    assert_eq!(seen[0].header("x-vault-token"), "");
    let path = "/v1/secret/data/flyte%20secrets/\
                u__org__flyte__domain__development__project__flytesnacks__key__k%23%252f";
    assert_eq!(line(&seen[1]), format!("GET {path}"));
    assert_eq!(seen[1].header("x-vault-token"), "t");
    for request in &seen {
        assert_eq!((request.header("x-vault-namespace"), request.header("x-vault-request")), ("team/a", "true"));
    }
}

#[tokio::test]
async fn an_id_that_a_path_of_vault_cannot_hold_is_not_asked_for() {
    let vault = Vault::start(after_login(|_| value("v"))).await;
    for name in ["a/b", "/", "../../x", "a\nb", "a\0b", "a\u{85}b"] {
        let error = error(&vault.store(), name).await;
        assert_eq!(error.class(), FailureClass::NotFound, "{name:?}");
        assert!(error.detail().contains("cannot hold"), "{error}");
    }
    assert_eq!(vault.edge.lines(), [""; 0]);
}

#[tokio::test]
async fn every_failure_has_its_class() {
    for (reply, expected) in [
        (
            Reply::new(429, json!({"errors": ["request path: rate limit quota exceeded"]})).with("retry-after", 1),
            FailureClass::Throttled,
        ),
        (Reply::new(503, json!({"errors": ["Vault is sealed"]})), FailureClass::Unavailable),
        (Reply::new(500, json!({"errors": ["internal error"]})), FailureClass::Unavailable),
        (Reply::new(502, "<html>"), FailureClass::Unavailable),
        (Reply::new(404, "<html>"), FailureClass::Unavailable),
        (Reply::new(200, "{\"data\": {\"data\":"), FailureClass::Malformed),
        (Reply::new(200, " ".repeat((4 << 20) + 1)), FailureClass::Malformed),
        (value("v").after(Duration::from_secs(5)), FailureClass::Late),
    ] {
        let status = reply.status;
        let vault = Vault::start(after_login(move |_| reply.clone())).await;
        assert_eq!(class(&vault.store_for(expected), "k").await, expected, "{status}");
    }
}

#[tokio::test]
async fn a_standby_server_that_redirects_is_not_followed() {
    let active = Edge::start(|_| value("v")).await;
    let location = format!("{}/v1/secret/data/x", active.url());
    let vault = Vault::start(after_login(move |_| Reply::new(307, "").with("location", &location))).await;
    let error = error(&vault.store(), "k").await;
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.detail().contains("address of the active server"), "{error}");
    assert_eq!(active.lines(), [""; 0]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let vault = Vault::start(|_| denied()).await;
    let settings = VaultSettings { address: format!("http://127.0.0.1:{}", closed_port().await), ..vault.settings() };
    let error = error(&VaultStore::new(settings).unwrap(), "k").await;
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.detail().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_failed_login_has_a_class_of_its_own() {
    for (reply, expected) in [
        (Reply::new(400, json!({"errors": ["role \"webhook\" not found"]})), FailureClass::Denied),
        (denied(), FailureClass::Denied),
        (Reply::new(429, json!({"errors": ["rate limit"]})), FailureClass::Throttled),
        (Reply::new(503, json!({"errors": ["Vault is sealed"]})), FailureClass::Unavailable),
        (Reply::new(200, json!({"auth": {"client_token": ""}})), FailureClass::Malformed),
        (auth("t", 0, false).after(Duration::from_secs(5)), FailureClass::Late),
    ] {
        let status = reply.status;
        let vault = Vault::start(move |_| reply.clone()).await;
        let error = error(&vault.store_for(expected), "k").await;
        assert_eq!(error.class(), expected, "{status}: {error}");
        assert!(!format!("{error:?}").contains("planted-jwt"), "{error}");
        assert_eq!(vault.edge.count(SECRET), 0);
    }
}

#[tokio::test]
async fn a_missing_credential_is_denied_and_its_file_named() {
    let vault = Vault::start(after_login(|_| value("v"))).await;
    fs::remove_file(vault.files.path().join("token")).unwrap();
    let error = error(&vault.store(), "k").await;
    assert_eq!(error.class(), FailureClass::Denied);
    assert!(error.detail().contains(vault.files.path().join("token").to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_thousand_cold_look_ups_cost_one_login() {
    let vault = Vault::start(after_login(|_| value("v"))).await;
    let settings = VaultSettings { timeout: Duration::from_secs(30), ..vault.settings() };
    let (store, id) = (VaultStore::new(settings).unwrap(), id("k"));
    let answers = join_all((0..1000).map(|_| store.get(&id))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(vault.edge.count(LOGIN), 1);
}

#[tokio::test]
async fn a_failed_login_is_everybodys_answer_for_a_second_and_then_tried_again() {
    let vault = Vault::start(|_| Reply::new(400, json!({"errors": ["role not found"]}))).await;
    let (store, id) = (vault.store(), id("k"));
    for _ in 0..5 {
        let answers = join_all((0..100).map(|_| store.get(&id))).await;
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap_err().class() == FailureClass::Denied));
    }
    assert_eq!(vault.edge.count(LOGIN), 1);
    tokio::time::sleep(Duration::from_millis(1050)).await;
    class(&store, "k").await;
    assert_eq!(vault.edge.count(LOGIN), 2);
}

#[tokio::test]
async fn a_caller_that_gives_up_takes_no_login_from_the_others() {
    let slow = after_login(|_| value("v"));
    let vault =
        Vault::start(move |seen| slow(seen).after(Duration::from_millis(if line(seen) == LOGIN { 200 } else { 0 })))
            .await;
    let (store, id) = (vault.store(), id("k"));
    let impatient = tokio::time::timeout(Duration::from_millis(50), store.get(&id));
    assert!(impatient.await.is_err());
    assert_eq!(text(&store, "k").await, "v");
    assert_eq!(vault.edge.count(LOGIN), 1);
}

/// Tokens with leases of so many seconds. `renewal` answers renewals.
async fn with_leases(seconds: u64, renewal: impl Fn() -> Reply + Send + Sync + 'static) -> Vault {
    Vault::start(move |seen| match line(seen).as_str() {
        LOGIN => auth("t", seconds, true),
        RENEW => renewal(),
        _ => value("v"),
    })
    .await
}

async fn ask_for(duration: Duration, store: &VaultStore) -> Duration {
    let (begin, mut longest) = (std::time::Instant::now(), Duration::ZERO);
    while begin.elapsed() < duration {
        let asked = std::time::Instant::now();
        assert_eq!(text(store, "k").await, "v");
        longest = longest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    longest
}

#[tokio::test]
async fn a_lease_is_renewed_after_two_thirds_of_it_and_nobody_waits_for_that() {
    let vault = with_leases(3, || auth("t", 3, true).after(Duration::from_millis(700))).await;
    let longest = ask_for(Duration::from_millis(3500), &vault.store()).await;
    assert!(longest < Duration::from_millis(650), "{longest:?}");
    assert_eq!((vault.edge.count(LOGIN), vault.edge.count(RENEW)), (1, 1), "{:?}", vault.edge.lines());
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_any_more_ends_in_a_login_before_its_end() {
    for renewal in [|| denied(), || auth("t", 0, false)] {
        let vault = with_leases(2, renewal).await;
        ask_for(Duration::from_millis(1800), &vault.store()).await;
        assert_eq!(vault.edge.count(LOGIN), 2, "{:?}", vault.edge.lines());
    }
}

#[tokio::test]
async fn a_token_that_vault_no_longer_knows_is_replaced_and_the_secret_asked_for_again() {
    let good = Arc::new(Mutex::new("t1".to_owned()));
    let logins = Arc::new(AtomicU32::new(0));
    let (known, count) = (Arc::clone(&good), Arc::clone(&logins));
    let vault = Vault::start(move |seen| match line(seen).as_str() {
        LOGIN => auth(&format!("t{}", count.fetch_add(1, Ordering::SeqCst) + 1), 0, false),
        _ if seen.header("x-vault-token") == known.lock().unwrap().as_str() => value("v"),
        _ => denied(),
    })
    .await;
    let (store, id) = (vault.store(), id("k"));
    assert_eq!(text(&store, "k").await, "v");
    *good.lock().unwrap() = "t2".to_owned();
    let answers = join_all((0..50).map(|_| store.get(&id))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_403_by_policy_costs_a_question_about_the_token_and_no_login() {
    let vault = Vault::start(after_login(|seen| {
        if seen.target.ends_with("lookup-self") { Reply::new(200, json!({"data": {"ttl": 60}})) } else { denied() }
    }))
    .await;
    let store = vault.store();
    for _ in 0..3 {
        assert_eq!(class(&store, "k").await, FailureClass::Denied);
    }
    assert_eq!(vault.edge.count(LOGIN), 1);
}

#[tokio::test]
async fn an_identity_that_may_not_look_itself_up_makes_no_storm_of_logins() {
    let vault = Vault::start(after_login(|_| denied())).await;
    let store = vault.store();
    for _ in 0..20 {
        assert_eq!(class(&store, "k").await, FailureClass::Denied);
    }
    assert_eq!(vault.edge.count(LOGIN), 2);
}

#[tokio::test]
async fn where_the_question_about_the_token_fails_the_secret_is_not_called_denied() {
    let vault = Vault::start(after_login(|seen| {
        if seen.target.ends_with("lookup-self") {
            Reply::new(503, json!({"errors": ["Vault is sealed"]}))
        } else {
            denied()
        }
    }))
    .await;
    assert_eq!(class(&vault.store(), "k").await, FailureClass::Unavailable);
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    let token = || VaultAuth::Token(TokenSource::Environment);
    let settings = || VaultSettings::new("https://h:8200", token());
    let app_role = VaultAuth::AppRole { mount: "../x".to_owned(), role_id: String::new(), secret_id_file: "x".into() };
    for (settings, problem) in [
        (VaultSettings::new("h:8200", token()), "address: "),
        (VaultSettings { mount: String::new(), ..settings() }, "mount: "),
        (VaultSettings { mount: "a/../b".to_owned(), ..settings() }, "mount: "),
        (VaultSettings { path_prefix: "/a".to_owned(), ..settings() }, "pathPrefix: "),
        (VaultSettings { namespace: Some("a\nb".to_owned()), ..settings() }, "namespace: "),
        (VaultSettings { auth: app_role, ..settings() }, "auth.mount: "),
        (VaultSettings { ca_file: Some("/nowhere".into()), ..settings() }, "/nowhere: "),
    ] {
        let error = VaultStore::new(settings).err().unwrap();
        assert!(error.to_string().contains(problem), "{error}");
    }
    assert!(VaultStore::new(settings()).is_ok());
}

#[tokio::test]
async fn the_words_of_an_answer_stay_on_one_bounded_line() {
    let words = Value::from(vec![format!("1 error occurred:\n\t* {}\n\n", "x".repeat(5000))]);
    let vault = Vault::start(after_login(move |_| Reply::new(500, json!({"errors": words})))).await;
    let error = error(&vault.store(), "k").await;
    assert!(error.detail().contains("1 error occurred: * xx"), "{error}");
    assert_eq!(error.detail().chars().count(), 1000);
}

#[tokio::test]
async fn no_token_and_no_credential_is_in_a_log_or_an_error() {
    logs::capture();
    let vault = Vault::start(|seen| match line(seen).as_str() {
        LOGIN => auth("planted-token", 1, true),
        RENEW => auth("planted-token", 1, true),
        _ if seen.target.contains("denied") => denied(),
        _ => value("planted-value"),
    })
    .await;
    let store = vault.store();
    let mut errors = String::new();
    for _ in 0..10 {
        assert_eq!(text(&store, "k").await, "planted-value");
        errors += &format!("{:?}", error(&store, "denied").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A login whose answer is broken off in the token.
    let broken = Vault::start(|_| Reply::new(200, r#"{"auth": {"client_token": "planted-token"#)).await;
    errors += &format!("{:?}", error(&broken.store(), "k").await);
    assert!(vault.edge.count(RENEW) > 0);
    let log = logs::whole_log();
    assert!(log.contains("TRACE"), "the log is captured");
    for planted in ["planted-value", "planted-token", "planted-jwt"] {
        assert!(!log.contains(planted) && !errors.contains(planted), "{planted}: {errors}");
    }
}
