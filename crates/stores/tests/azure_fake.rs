//! The Azure store against a fake, because no server of Key Vault exists outside Azure: over TLS, under the real host
//! names, with bodies as Microsoft's REST reference shows them. The SDK, its credentials and TLS are real.
#![cfg(feature = "azure")]
#![allow(clippy::unwrap_used)]

mod edge;
#[path = "azure_write/fake.rs"]
mod write;
#[path = "common/writers.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod writers;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use edge::tls::Authority;
use edge::{Edge, ODD_NAMES, Reply, Seen, class, closed_port, error, id, logs, text};
use flyte_secrets_core::azure_key_vault::encode_name;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_stores::azure::{AzureSettings, AzureStore};
use flyte_secrets_stores::{FailureClass, SecretFetcher};
use futures::future::join_all;
use serde_json::json;
use tempfile::TempDir;

const VAULT: &str = "flyte.vault.azure.net";
const LOGIN: &str = "login.microsoftonline.com";
const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const TOKEN: &str = "planted-access-token";
const CLIENT_SECRET: &str = "planted-client-secret";

/// A stored value in its envelope, as Key Vault gives it.
fn bundle(value: &str) -> Reply {
    let id = format!("https://{VAULT}/secrets/1-flyte-development-flytesnacks-NM/4387e9f3d6e14c459867679a90fd0f79");
    let attributes = json!({"enabled": true, "created": 1_493_938_410, "recoveryLevel": "Recoverable+Purgeable"});
    Reply::new(200, json!({"value": value, "id": id, "attributes": attributes}))
}

fn stored(kind: &str, value: &str) -> Reply {
    bundle(&json!({"type": kind, "value": value}).to_string())
}

fn problem(status: u16, code: &str, message: &str, inner: Option<&str>) -> Reply {
    let mut error = json!({"code": code, "message": message});
    if let Some(inner) = inner {
        error["innererror"] = json!({"code": inner});
    }
    Reply::new(status, json!({"error": error}))
}

fn challenge(resource: &str) -> Reply {
    let header = format!("Bearer authorization=\"https://{LOGIN}/{TENANT}\", resource=\"{resource}\"");
    problem(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", None)
        .with("www-authenticate", header)
}

fn token() -> Reply {
    Reply::new(200, json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": TOKEN}))
}

fn is_login(seen: &Seen) -> bool {
    seen.header("host") == LOGIN
}

/// Vault and token endpoint on one port, and a store that takes them for the real ones.
struct Azure {
    edge: Edge,
    files: TempDir,
}

impl Azure {
    /// `login` answers the token endpoint, `vault` whoever shows the token.
    async fn start(
        login: impl Fn() -> Reply + Send + Sync + 'static,
        vault: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::raw(move |seen| match seen.header("authorization") {
            _ if is_login(seen) => login(),
            authorization if authorization == format!("Bearer {TOKEN}") => vault(seen),
            _ => challenge("https://vault.azure.net"),
        })
        .await
    }

    async fn vault(vault: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(token, vault).await
    }

    async fn raw(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        let edge = Edge::start_tls(authority.server(&[VAULT, LOGIN], None), answer).await;
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("ca.crt"), authority.pem()).unwrap();
        fs::write(files.path().join("federated"), "planted-federated-token").unwrap();
        Self { edge, files }
    }

    fn settings(&self) -> AzureSettings {
        AzureSettings {
            ca_file: Some(self.files.path().join("ca.crt")),
            hosts: vec![(VAULT.to_owned(), self.edge.address), (LOGIN.to_owned(), self.edge.address)],
            ..AzureSettings::new(format!("https://{VAULT}/"))
        }
    }

    fn with(&self, settings: AzureSettings, environment: &[(&str, &str)]) -> AzureStore {
        let variable =
            |name: &str| environment.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        AzureStore::with_environment(settings, &variable).unwrap()
    }

    /// With workload identity, as in a pod of AKS.
    fn store(&self) -> AzureStore {
        self.store_for(FailureClass::NotFound)
    }

    /// Impatient where the test waits for that.
    fn store_for(&self, expected: FailureClass) -> AzureStore {
        let short = expected == FailureClass::Late;
        let timeout = if short { Duration::from_millis(500) } else { Duration::from_secs(10) };
        let file = self.files.path().join("federated");
        let environment = [
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ];
        self.with(AzureSettings { timeout, ..self.settings() }, &environment)
    }

    fn logins(&self) -> Vec<Seen> {
        self.edge.requests().into_iter().filter(is_login).collect()
    }
}

#[tokio::test]
async fn text_and_bytes_come_out_of_their_envelopes() {
    for (reply, expected) in [
        (stored("STRING", "a\nb é"), "a\nb é".as_bytes()),
        (stored("STRING", ""), b""),
        (stored("BINARY", "/wD/"), b"\xff\x00\xff"),
        (bundle(r#"{"VALUE": "v"}"#), b"v"),
    ] {
        let azure = Azure::vault(move |_| reply.clone()).await;
        assert_eq!(azure.store().get(&id("k")).await.unwrap().expose_bytes(), expected);
    }
}

#[tokio::test]
async fn a_workload_shows_its_federated_token_and_only_what_key_vault_asks_for() {
    let azure = Azure::vault(|_| stored("STRING", "v")).await;
    assert_eq!(text(&azure.store(), "k").await, "v");
    let seen = azure.edge.requests();
    assert_eq!(seen.len(), 3, "{:?}", azure.edge.lines());
    let path = "/secrets/1-flyte-development-flytesnacks-NM";
    assert!(seen[0].target.trim_end_matches('/').starts_with(path), "{}", seen[0].target);
    assert_eq!((seen[0].header("host"), seen[0].header("authorization")), (VAULT, ""));
    assert_eq!((seen[1].header("host"), seen[1].target.as_str()), (LOGIN, &*format!("/{TENANT}/oauth2/v2.0/token")));
    let form = String::from_utf8(seen[1].body.clone()).unwrap();
    for part in ["client_assertion=planted-federated-token", "scope=https%3A%2F%2Fvault.azure.net%2F.default"] {
        assert!(form.contains(part), "{form}");
    }
    assert_eq!(seen[2].target, seen[0].target);
    assert_eq!(seen[2].header("authorization"), format!("Bearer {TOKEN}"));
}

#[tokio::test]
async fn every_failure_of_key_vault_has_its_class() {
    let no_permission = "Caller is not authorized to perform action on resource.";
    for (reply, expected, part) in [
        (
            problem(404, "SecretNotFound", "A secret with (name/id) k was not found in this key vault.", None),
            FailureClass::NotFound,
            "no such secret",
        ),
        (
            problem(403, "Forbidden", "Operation get is not allowed on a disabled secret.", Some("SecretDisabled")),
            FailureClass::Denied,
            "is disabled",
        ),
        (
            problem(403, "Forbidden", no_permission, Some("ForbiddenByRbac")),
            FailureClass::Denied,
            "\"Key Vault Secrets User\"",
        ),
        (
            problem(403, "Forbidden", "Client address is not authorized.", Some("ForbiddenByFirewall")),
            FailureClass::Denied,
            "403 Forbidden/ForbiddenByFirewall",
        ),
        (
            problem(429, "Throttled", "Request was not processed because too many requests were received.", None),
            FailureClass::Throttled,
            "slow down",
        ),
        (problem(500, "InternalServerError", "Error", None), FailureClass::Unavailable, "failed"),
        (Reply::new(503, "<html>"), FailureClass::Unavailable, "failed"),
        (Reply::new(404, "<html>"), FailureClass::Unavailable, "check vaultURI"),
        (Reply::new(302, "").with("location", "https://elsewhere"), FailureClass::Unavailable, "redirect"),
        (problem(400, "BadParameter", "The request is wrong.", None), FailureClass::Malformed, "BadParameter"),
        (Reply::new(200, "{\"value\":"), FailureClass::Malformed, "not a secret in JSON"),
        (bundle("planted plain text"), FailureClass::Malformed, "not JSON of the form"),
        (stored("BINARY", "planted*"), FailureClass::Malformed, "not base64"),
        (Reply::new(200, " ".repeat((4 << 20) + 1)), FailureClass::Malformed, "exceeds"),
        (bundle(""), FailureClass::Empty, "no value"),
        (Reply::new(200, json!({"id": "x"})), FailureClass::Empty, "no value"),
        (stored("STRING", "v").after(Duration::from_secs(9)), FailureClass::Late, "500 ms"),
    ] {
        let azure = Azure::vault(move |_| reply.clone()).await;
        let error = error(&azure.store_for(expected), "k").await;
        assert_eq!(error.class(), expected, "{error}");
        assert!(error.detail().contains(part), "{error}");
        assert!(!format!("{error:?}").contains("planted"), "{error}");
    }
}

#[tokio::test]
async fn nothing_is_repeated() {
    let azure = Azure::vault(|_| problem(503, "ServiceUnavailable", "", None)).await;
    class(&azure.store(), "k").await;
    assert_eq!(azure.edge.lines().len(), 3, "{:?}", azure.edge.lines());
}

#[tokio::test]
async fn an_odd_name_is_a_name_of_letters_and_digits_for_key_vault() {
    let azure = Azure::vault(|seen| stored("STRING", seen.target.split(['/', '?']).nth(2).unwrap())).await;
    let store = azure.store();
    for name in ODD_NAMES.into_iter().chain(["a/b", "a\nb"]) {
        let expected = encode_name(&id(name)).unwrap();
        assert!(expected.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        assert_eq!(text(&store, name).await, expected);
    }
}

#[tokio::test]
async fn an_id_that_has_no_name_in_key_vault_is_not_asked_for() {
    let azure = Azure::vault(|_| stored("STRING", "v")).await;
    let store = azure.store();
    let of_project = |project: &str| SecretId { project: project.to_owned(), ..id("k") };
    for (id, part) in [
        (id(&"x".repeat(80)), "127 are allowed"),
        (of_project("a/b"), "holds '/'"),
        (of_project(".."), "holds '.'"),
        (of_project("a?b#c"), "holds '?'"),
        (of_project("%2f"), "holds '%'"),
        (of_project("ü"), "holds 'ü'"),
    ] {
        let error = store.get(&id).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::NotFound, "{error}");
        assert!(error.detail().contains(part), "{error}");
    }
    assert_eq!(azure.edge.lines(), [""; 0]);
}

#[tokio::test]
async fn no_token_goes_to_a_server_that_asks_for_one_of_another_service() {
    let azure =
        Azure::raw(|seen| if is_login(seen) { token() } else { challenge("https://management.azure.com") }).await;
    let error = error(&azure.store(), "k").await;
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.detail().contains("check that vaultURI"), "{error}");
    assert_eq!(azure.logins().len(), 0);
}

#[tokio::test]
async fn a_token_that_key_vault_does_not_accept_is_denied() {
    let azure = Azure::raw(|seen| if is_login(seen) { token() } else { challenge("https://vault.azure.net") }).await;
    let error = error(&azure.store(), "k").await;
    assert_eq!(error.class(), FailureClass::Denied);
    assert!(error.detail().contains("another tenant"), "{error}");
}

#[tokio::test]
async fn a_failed_login_has_a_class_of_its_own() {
    let refused = json!({
        "error": "invalid_client", "error_codes": [700_213],
        "error_description": "AADSTS700213: No matching federated identity record found",
    });
    for (reply, expected, part) in [
        (Reply::new(401, refused), FailureClass::Denied, "AADSTS700213"),
        (
            Reply::new(503, json!({"error_description": "AADSTS90033: transient"})),
            FailureClass::Unavailable,
            "AADSTS90033",
        ),
        (Reply::new(200, json!({"access_token": ["planted"]})), FailureClass::Malformed, "no token"),
        (
            Reply::new(200, json!({"access_token": "planted", "expires_in": "planted"})),
            FailureClass::Malformed,
            "no token",
        ),
        (token().after(Duration::from_secs(9)), FailureClass::Late, "500 ms"),
    ] {
        let azure = Azure::start(move || reply.clone(), |_| stored("STRING", "v")).await;
        let error = error(&azure.store_for(expected), "k").await;
        assert_eq!(error.class(), expected, "{error}");
        assert!(error.detail().contains(part), "{error}");
        assert!(!format!("{error:?}").contains("planted"), "{error}");
    }
}

#[tokio::test]
async fn a_failed_login_is_everybodys_answer_for_a_second_and_then_tried_again() {
    let azure =
        Azure::start(|| Reply::new(401, json!({"error_description": "AADSTS700016"})), |_| stored("STRING", "v")).await;
    let (store, id) = (azure.store(), id("k"));
    let answers = join_all((0..50).map(|_| store.get(&id))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap_err().class() == FailureClass::Denied));
    assert_eq!(azure.logins().len(), 1);
    tokio::time::sleep(Duration::from_millis(1050)).await;
    class(&store, "k").await;
    assert_eq!(azure.logins().len(), 2);
}

#[tokio::test]
async fn many_cold_look_ups_cost_one_login() {
    let azure = Azure::vault(|_| stored("STRING", "v")).await;
    let settings = AzureSettings { timeout: Duration::from_secs(30), ..azure.settings() };
    let file = azure.files.path().join("federated");
    let environment =
        [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", "c"), ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap())];
    let (store, id) = (azure.with(settings, &environment), id("k"));
    let answers = join_all((0..200).map(|_| store.get(&id))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(azure.logins().len(), 1);
}

#[tokio::test]
async fn a_client_secret_is_an_identity_too() {
    let azure = Azure::vault(|_| stored("STRING", "v")).await;
    let environment = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", CLIENT_SECRET)];
    let store = azure.with(azure.settings(), &environment);
    assert_eq!(text(&store, "k").await, "v");
    let form = String::from_utf8(azure.logins()[0].body.clone()).unwrap();
    assert!(form.contains("client_secret=planted-client-secret"), "{form}");
}

#[tokio::test]
async fn another_cloud_has_another_token_endpoint() {
    let azure = Azure::vault(|_| stored("STRING", "v")).await;
    let environment = [
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_CLIENT_SECRET", CLIENT_SECRET),
        ("AZURE_AUTHORITY_HOST", "https://login.chinacloudapi.cn"),
    ];
    let mut settings = azure.settings();
    settings.hosts.push(("login.chinacloudapi.cn".to_owned(), azure.edge.address));
    // The fake has no certificate for that name, and must not get the secret.
    let error = error(&azure.with(settings, &environment), "k").await;
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.detail().contains("certificate"), "{error}");
    assert_eq!(azure.logins().len(), 0);
}

#[tokio::test]
async fn a_missing_federated_token_is_denied_and_helps_as_soon_as_it_is_there() {
    let azure = Azure::vault(|_| stored("STRING", "v")).await;
    let file = azure.files.path().join("federated");
    fs::remove_file(&file).unwrap();
    let store = azure.store();
    let missing = error(&store, "k").await;
    assert_eq!(missing.class(), FailureClass::Denied);
    for part in ["tried workload identity", file.to_str().unwrap()] {
        assert!(missing.detail().contains(part), "{missing}");
    }
    fs::write(&file, "planted-federated-token").unwrap();
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_eq!(text(&store, "k").await, "v");
}

#[tokio::test]
async fn without_any_identity_the_error_says_what_was_tried() {
    let azure = Azure::vault(|_| stored("STRING", "v")).await;
    let store = azure.with(AzureSettings { timeout: Duration::from_secs(20), ..azure.settings() }, &[]);
    let error = error(&store, "k").await;
    assert_eq!(error.class(), FailureClass::Denied, "{error}");
    for part in ["managed identity of the machine", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_SECRET", "Azure CLI"] {
        assert!(error.detail().contains(part), "{error}");
    }
}

#[tokio::test]
async fn an_unreachable_vault_is_unavailable() {
    let azure = Azure::vault(|_| stored("STRING", "v")).await;
    let mut settings = azure.settings();
    settings.hosts[0].1.set_port(closed_port().await);
    let error = error(&azure.with(settings, &[]), "k").await;
    assert_eq!(error.class(), FailureClass::Unavailable);
    assert!(error.detail().contains("refused"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    for (settings, problem) in [
        (AzureSettings::new("flyte.vault.azure.net"), "vaultURI: "),
        (AzureSettings::new("http://flyte.vault.azure.net"), "TLS only"),
        (AzureSettings { ca_file: Some("/nowhere".into()), ..AzureSettings::new("https://x") }, "/nowhere: "),
    ] {
        let error = AzureStore::with_environment(settings, &|_| None).err().unwrap();
        assert!(error.to_string().contains(problem), "{error}");
    }
}

/// Runs in a process of its own, because the SDK reads the variables of its process.
#[tokio::test]
#[ignore = "started by another test"]
async fn app_service_process() {
    let azure = Azure::vault(|_| stored("STRING", "v")).await;
    let store = azure.with(azure.settings(), &[("IDENTITY_ENDPOINT", "set"), ("IDENTITY_HEADER", "set")]);
    assert_eq!(text(&store, "k").await, "v");
}

#[tokio::test]
async fn the_managed_identity_of_app_service_is_asked_without_a_proxy() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let endpoint = Edge::start(move |seen| {
        count.fetch_add(1, Ordering::SeqCst);
        assert_eq!(seen.header("x-identity-header"), "header-of-the-test");
        Reply::new(200, json!({"access_token": TOKEN, "expires_on": "4102444800", "token_type": "Bearer", "resource": "https://vault.azure.net"}))
    })
    .await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "app_service_process", "--ignored"])
        .env("IDENTITY_ENDPOINT", format!("{}/msi/token", endpoint.url()))
        .env("IDENTITY_HEADER", "header-of-the-test")
        .env("HTTP_PROXY", format!("http://127.0.0.1:{}", closed_port().await));
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_value_and_no_credential_is_in_a_log_or_an_error() {
    logs::capture();
    let azure = Azure::vault(|_| stored("STRING", "planted-value")).await;
    let environment = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", CLIENT_SECRET)];
    assert_eq!(text(&azure.with(azure.settings(), &environment), "k").await, "planted-value");
    assert_eq!(text(&azure.store(), "k").await, "planted-value");
    let mut errors = String::new();
    for reply in [bundle("planted-value"), Reply::new(200, r#"{"value": "planted-value" "#)] {
        let azure = Azure::vault(move |_| reply.clone()).await;
        errors += &format!("{:?}", error(&azure.store(), "k").await);
    }
    let log = logs::whole_log();
    assert!(log.contains("TRACE"), "the log is captured");
    for planted in ["planted-value", TOKEN, CLIENT_SECRET, "planted-federated-token"] {
        assert!(!log.contains(planted) && !errors.contains(planted), "{planted}: {errors}");
    }
}
