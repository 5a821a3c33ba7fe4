//! Who may use the service: real tokens of the real API server, and of an issuer with real keys.

use std::path::PathBuf;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::client::flyte_at;
use super::issuer::{Issuer, Signer};
use super::process::{Service, certificate, code, named, path, secret};
use crate::harness::identity::service_account;
use crate::harness::plain_http::{post_text, send_text};
use crate::harness::{Namespace, bed, eventually};

const AUDIENCE: &str = "flyte-secrets";

/// What the service needs where it asks the API server about tokens.
async fn rights(namespace: &Namespace) -> PathBuf {
    let verbs = json!(["get", "list", "create", "update", "delete"]);
    let rules = json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": verbs},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    ]);
    service_account(namespace, rules).await
}

/// A new ServiceAccount of the namespace.
async fn account(namespace: &Namespace, name: &str) {
    let account = json!({"metadata": {"name": name}});
    namespace.api.create(&namespace.path("serviceaccounts"), &account).await.unwrap();
}

/// What `kubectl create token` gives.
async fn token(namespace: &Namespace, account: &str, audience: &str) -> String {
    let path = namespace.path(&format!("serviceaccounts/{account}/token"));
    let spec = json!({"spec": {"audiences": [audience], "expirationSeconds": 600}});
    namespace.api.create(&path, &spec).await.unwrap()["status"]["token"].as_str().unwrap().to_owned()
}

/// A token that the API server has signed, with other claims: signed again with its own key.
fn signed_again(token: &str, changes: &Value) -> String {
    let part = |index: usize| -> Value {
        let bytes = BASE64URL_NOPAD.decode(token.split('.').nth(index).unwrap().as_bytes()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let mut claims = part(1);
    changes.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
    let mut header = Header::new(Algorithm::RS256);
    header.kid = part(0)["kid"].as_str().map(str::to_owned);
    let file = bed().kubeconfig.parent().unwrap().join("pki/sa.key");
    let key = match PrivateKeyDer::from_pem_file(&file).unwrap() {
        PrivateKeyDer::Pkcs1(key) => EncodingKey::from_rsa_der(key.secret_pkcs1_der()),
        // PKCS #1 in PKCS #8, behind 26 bytes that say so.
        PrivateKeyDer::Pkcs8(key) => EncodingKey::from_rsa_der(&key.secret_pkcs8_der()[26..]),
        _ => panic!("{} is no RSA key", file.display()),
    };
    encode(&header, &claims, &key).unwrap()
}

/// Header and claims without a signature.
fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}.", part(&json!({"alg": "none"})), part(claims))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\nx-request-id: request-{}\r\n", token.len())
}

/// Calls a method with a token; gives `ok`, or the error's name and text.
async fn call(service: &Service, token: &str, method: &str, message: &Value) -> String {
    let answer = post_text(&service.address(), &path(method), &bearer(token), &message.to_string()).await;
    let text: Value = serde_json::from_str(&answer.1).unwrap_or_default();
    match code(&answer).as_str() {
        "ok" => "ok".to_owned(),
        code => format!("{code}: {}", text["message"].as_str().unwrap_or_default()),
    }
}

/// The lines of the audit log that hold all of these.
fn audited(service: &Service, parts: &[&str]) -> usize {
    let is_one = |line: &&str| line.contains("flyte_secrets::audit") && parts.iter().all(|part| line.contains(part));
    service.logged().lines().filter(is_one).count()
}

async fn counted(service: &Service, line: &str) {
    let text = service.metrics().await;
    assert!(text.contains(line), "{line}: {text}");
}

/// No token, and no signature of one, is in the log, which is written with every detail.
fn not_logged(service: &Service, tokens: &[String]) {
    let log = service.logged();
    for token in tokens {
        let (rest, signature) = token.rsplit_once('.').unwrap();
        assert!(!log.contains(rest), "a token is in the log");
        assert!(signature.is_empty() || !log.contains(signature), "a signature is in the log");
    }
}

#[tokio::test]
async fn service_accounts_are_let_in_by_tokens_of_the_api_server_and_do_what_rules_permit() {
    let namespace = bed().namespace("token-review").await;
    let (kubeconfig, name) = (rights(&namespace).await, &namespace.name);
    for one in ["builder", "reader", "gone"] {
        account(&namespace, one).await;
    }
    let rule = |subject: &str, project: &str, verbs: &[&str]| json!({"subjects": [subject], "domain": "development", "project": project, "verbs": verbs});
    let settings = json!({
        "authentication": {"modes": ["TokenReview"], "tokenReview": {"audiences": [AUDIENCE]}},
        "authorization": {"rules": [
            rule(&format!("serviceaccount:{name}/builder"), "flytesnacks", &["read", "write"]),
            rule(&format!("serviceaccount:{name}/gone"), "flytesnacks", &["read"]),
            rule(&format!("serviceaccount:{name}/*"), "public", &["read"]),
        ]},
    });
    let service = Service::over_kubernetes("token-review", name, kubeconfig, settings).await;
    let [builder, reader, gone] = [
        token(&namespace, "builder", AUDIENCE).await,
        token(&namespace, "reader", AUDIENCE).await,
        token(&namespace, "gone", AUDIENCE).await,
    ];
    let unused = token(&namespace, "gone", AUDIENCE).await;

    assert_eq!(call(&service, &builder, "CreateSecret", &secret("a", "planted")).await, "ok");
    assert_eq!(call(&service, &builder, "GetSecret", &named("a")).await, "ok");
    assert_eq!(call(&service, &gone, "GetSecret", &named("a")).await, "ok");
    // Another tenant's.
    let who = format!("permission_denied: serviceaccount:{name}/reader may not");
    for (method, message) in [
        ("GetSecret", named("a")),
        ("UpdateSecret", secret("a", "planted 2")),
        ("DeleteSecret", named("a")),
        ("ListSecrets", json!({"domain": "development", "project": "flytesnacks"})),
    ] {
        let found = call(&service, &reader, method, &message).await;
        assert!(found.starts_with(&who), "{method}: {found}");
    }
    assert_eq!(call(&service, &reader, "ListSecrets", &json!({"domain": "development"})).await, "ok");

    let other = token(&namespace, "builder", "https://kubernetes.default.svc").await;
    let now = get_current_timestamp();
    let expired = signed_again(&builder, &json!({"iat": now - 7200, "nbf": now - 7200, "exp": now - 3600}));
    let early = signed_again(&builder, &json!({"nbf": now + 3000, "exp": now + 3600}));
    let [head, _, signature] = [0, 1, 2].map(|index| builder.split('.').nth(index).unwrap());
    let another_part = format!("{head}.{}.{signature}", reader.split('.').nth(1).unwrap());
    let claims = json!({"iss": "https://kubernetes.default.svc", "aud": [AUDIENCE], "exp": now + 60,
        "sub": format!("system:serviceaccount:{name}:builder")});
    let bare = unsigned(&claims);
    namespace.api.delete(&namespace.path("serviceaccounts/gone")).await.unwrap();
    let cases = [
        (&other, "the token is meant for another audience; expected is flyte-secrets"),
        (&expired, "the token has expired 60min ago"),
        (&early, "the API server does not know the token"),
        (&another_part, "the API server does not know the token"),
        (&bare, "the API server does not know the token"),
        (&unused, "the API server does not know the token"),
    ];
    for (token, expected) in cases {
        let found = call(&service, token, "GetSecret", &named("a")).await;
        assert!(found.starts_with("unauthenticated: ") && found.contains(expected), "{expected}: {found}");
    }
    eventually("a revoked token that is refused", 15, || async {
        let found = call(&service, &gone, "GetSecret", &named("a")).await;
        if found.starts_with("unauthenticated: ") { Ok(()) } else { Err(found) }
    })
    .await;
    let (status, text) = send_text(&http::Method::GET, &service.address(), "/secrets/api/v1", "", "").await;
    assert_eq!((status, text.contains("no token")), (401, true), "{text}");

    let outcome = |outcome: &str| format!("\"outcome\":\"{outcome}\"");
    let identity = format!("\"identity\":\"serviceaccount:{name}/builder\"");
    assert_eq!(audited(&service, &[&outcome("ok"), &identity, "\"action\":\"create\"", "\"name\":\"a\""]), 1);
    assert_eq!(audited(&service, &[&outcome("permission_denied"), &format!("{name}/reader")]), 4);
    assert_eq!(
        audited(&service, &[&outcome("unauthenticated"), "\"reason\":\"audience\"", "\"request_id\":\"request-"]),
        1
    );
    counted(&service, "authentications_total{mode=\"TokenReview\",result=\"audience\"} 1\n").await;
    counted(&service, "authentications_total{mode=\"TokenReview\",result=\"expired\"} 1\n").await;
    counted(&service, "authentications_total{mode=\"none\",result=\"missing\"} 1\n").await;
    counted(&service, "denials_total{verb=\"read\"} 2\n").await;
    counted(&service, "denials_total{verb=\"write\"} 2\n").await;
    not_logged(&service, &[builder, reader, gone, unused, other, expired, early, another_part, bare]);
}

#[tokio::test]
async fn nobody_is_let_in_while_the_api_server_cannot_be_asked() {
    let namespace = bed().namespace("token-review-away").await;
    let (kubeconfig, token) = (rights(&namespace).await, token(&namespace, "default", "any").await);
    let mut away: Value = serde_json::from_slice(&std::fs::read(kubeconfig).unwrap()).unwrap();
    away["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, away.to_string()).unwrap();
    let rule = json!({"subjects": ["*"], "domain": "*", "project": "*", "verbs": ["read", "write"]});
    let settings =
        json!({"store": "Local", "authentication": {"modes": ["TokenReview"]}, "authorization": {"rules": [rule]}});
    let service = Service::start("token-review-away", kubeconfig, settings, json!({})).await;
    let found = call(&service, &token, "CreateSecret", &secret("a", "planted")).await;
    assert!(found.starts_with("unavailable: it cannot be checked who you are: the API server"), "{found}");
    counted(&service, "authentications_total{mode=\"TokenReview\",result=\"unavailable\"} 1\n").await;
    not_logged(&service, &[token]);
}

#[tokio::test]
async fn users_are_let_in_by_tokens_of_an_issuer_whose_keys_change() {
    let [signer, thief] = [0; 2].map(|_| Signer::new("first", Algorithm::RS256));
    let next = Signer::new("second", Algorithm::ES256);
    let issuer = Issuer::start(&[&signer]).await;
    let oidc = json!({"issuer": issuer.url, "audiences": [AUDIENCE], "subjectClaim": "email"});
    let rule = |subject: &str, project: &str| json!({"subjects": [subject], "domain": "development", "project": project, "verbs": ["read", "write"]});
    let settings = json!({
        "store": "Local",
        "authentication": {"modes": ["OIDC"], "oidc": oidc},
        "authorization": {"rules": [rule("user:ann@example.com", "flytesnacks"), rule("group:ml", "models")]},
    });
    let service = Service::start("oidc", PathBuf::new(), settings, json!({})).await;
    let now = get_current_timestamp();
    let claims = |changes: Value| {
        let mut claims = issuer.claims(&json!({"aud": AUDIENCE, "email": "ann@example.com", "email_verified": true}));
        changes.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
        claims
    };
    let good = signer.sign(&claims(json!({})));
    assert_eq!(call(&service, &good, "CreateSecret", &secret("a", "planted")).await, "ok");
    let models = json!({"id": {"name": "a", "domain": "development", "project": "models"}, "secretSpec": {"stringValue": "planted"}});
    assert_eq!(call(&service, &good, "CreateSecret", &models).await, "ok");

    let bob = signer.sign(&claims(json!({"email": "bob@example.com", "groups": ["ml"]})));
    let found = call(&service, &bob, "UpdateSecret", &secret("a", "planted 2")).await;
    assert!(found.starts_with("permission_denied: user:bob@example.com may not update the secret \"a\""), "{found}");
    let mut hs = Header::new(Algorithm::HS256);
    hs.kid = Some("first".to_owned());
    let by_public_key = EncodingKey::from_secret(signer.public().to_string().as_bytes());
    let cases = [
        (signer.sign(&claims(json!({"aud": "other"}))), "another audience; expected is flyte-secrets"),
        (signer.sign(&claims(json!({"exp": now - 120}))), "expired 2min ago"),
        (signer.sign(&claims(json!({"nbf": now + 3600}))), "not valid yet"),
        (
            signer.sign(&claims(json!({"iss": "https://issuer.example"}))),
            "of another issuer; expected is http://127.0.0.1",
        ),
        (signer.sign(&claims(json!({"email_verified": false}))), "email is not verified"),
        (thief.sign(&claims(json!({}))), "signature is not that of its issuer"),
        (unsigned(&claims(json!({}))), "the token is not signed"),
        (encode(&hs, &claims(json!({})), &by_public_key).unwrap(), "an algorithm that is not taken"),
    ];
    for (token, expected) in &cases {
        let found = call(&service, token, "UpdateSecret", &secret("a", "planted 2")).await;
        assert!(found.starts_with("unauthenticated: ") && found.contains(expected), "{expected}: {found}");
    }

    issuer.publish(&[&next]);
    let new = next.sign(&claims(json!({})));
    eventually("a token of the next key", 20, || async {
        let found = call(&service, &new, "GetSecret", &named("a")).await;
        if found == "ok" { Ok(()) } else { Err(found) }
    })
    .await;
    let found = call(&service, &good, "GetSecret", &named("a")).await;
    assert!(found.contains("a key that its issuer does not name"), "{found}");

    assert_eq!(
        audited(&service, &["\"outcome\":\"ok\"", "\"identity\":\"user:ann@example.com\"", "\"action\":\"create\""]),
        2
    );
    assert_eq!(audited(&service, &["\"outcome\":\"permission_denied\"", "\"identity\":\"user:bob@example.com\""]), 1);
    for reason in ["audience", "expired", "not_yet_valid", "issuer", "claim", "signature", "unsigned", "algorithm"] {
        assert_eq!(
            audited(&service, &["\"outcome\":\"unauthenticated\"", &format!("\"reason\":\"{reason}\"")]),
            1,
            "{reason}"
        );
        counted(&service, &format!("authentications_total{{mode=\"OIDC\",result=\"{reason}\"}} 1\n")).await;
    }
    let mut tokens: Vec<String> = cases.into_iter().map(|(token, _)| token).collect();
    tokens.extend([good, bob, new]);
    not_logged(&service, &tokens);
}

#[tokio::test]
async fn flytes_own_command_line_shows_a_token_that_a_command_prints() {
    let namespace = bed().namespace("flyte-token").await;
    let (kubeconfig, name) = (rights(&namespace).await, &namespace.name);
    account(&namespace, "builder").await;
    let token = token(&namespace, "builder", AUDIENCE).await;
    let (certificates, _) = certificate();
    let rule = json!({"subjects": [format!("serviceaccount:{name}/builder")], "domain": "development",
        "project": "flytesnacks", "verbs": ["read", "write"]});
    let settings = json!({
        "server": {"certDir": certificates.path()},
        "authentication": {"modes": ["TokenReview"], "tokenReview": {"audiences": [AUDIENCE]}},
        "authorization": {"rules": [rule]},
    });
    let service = Service::over_kubernetes("flyte-token", name, kubeconfig, settings).await;
    let printed = service.folder.path().join("token");
    std::fs::write(&printed, &token).unwrap();
    let config = service.folder.path().join("flyte.yaml");
    let admin = json!({"admin": {
        "endpoint": format!("https://{}", service.address()), "caCertFilePath": certificates.path().join("ca.crt"),
        "authType": "ExternalCommand", "command": ["cat", printed], "disableKeyring": true,
    }});
    std::fs::write(&config, admin.to_string()).unwrap();
    let at = ["--config", config.to_str().unwrap()];
    let run = async |arguments: &[&str]| flyte_at(&service, &at, &[], arguments).await;
    let scope = ["--project", "flytesnacks", "--domain", "development"];
    let create = [&["create", "secret", "by-token", "--value", "planted 1"][..], &scope].concat();
    let (ok, text) = run(&create).await;
    assert!(ok, "{text}");
    let (ok, text) = run(&[&["get", "secret"][..], &scope].concat()).await;
    assert!(ok && text.contains("by-token"), "{text}");
    // What the rule does not permit, and what the service says of it.
    let (ok, text) = run(&["create", "secret", "of-all", "--value", "planted 2"]).await;
    assert!(!ok && text.contains("may not create the secret"), "{text}");
    std::fs::write(&printed, unsigned(&json!({}))).unwrap();
    let (ok, text) = run(&create).await;
    assert!(!ok && text.contains("meant for another audience; expected is flyte-secrets"), "{text}");
    not_logged(&service, &[token]);
}
