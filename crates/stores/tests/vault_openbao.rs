//! The Vault store against a real OpenBao server.
#![cfg(all(feature = "vault", feature = "real-stores"))]
#![allow(clippy::unwrap_used)]

mod edge;
#[path = "edge/bao.rs"]
#[allow(missing_docs, unreachable_pub)]
mod openbao;
#[path = "vault_write/openbao.rs"]
mod write;
#[path = "common/writers.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod writers;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use edge::{ODD_NAMES, class, error, id, logs, text};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_stores::vault::{KvVersion, TokenSource, VaultAuth, VaultSettings, VaultStore};
use flyte_secrets_stores::{FailureClass, SecretFetcher};
use openbao::{Bao, bao};
use rcgen::{KeyPair, SigningKey};
use serde_json::json;
use tempfile::TempDir;

/// A folder of secrets, a policy for it, and an AppRole with that policy; all of one name.
struct Team {
    bao: &'static Bao,
    name: &'static str,
    files: TempDir,
    role_id: String,
}

impl Team {
    async fn new(name: &'static str, role: serde_json::Value) -> Self {
        let bao = bao().await;
        bao.policy(name, &format!("path \"secret/data/{name}/*\" {{ capabilities = [\"read\"] }}")).await;
        bao.write(&format!("sys/auth/{name}"), json!({"type": "approle"})).await;
        let mut settings = json!({"token_policies": [name]});
        settings.as_object_mut().unwrap().extend(role.as_object().unwrap().clone());
        bao.write(&format!("auth/{name}/role/r"), settings).await;
        bao.write(&format!("auth/{name}/role/r/role-id"), json!({"role_id": format!("role-of-{name}")})).await;
        let team = Self { bao, name, files: tempfile::tempdir().unwrap(), role_id: format!("role-of-{name}") };
        team.new_secret_id().await;
        team
    }

    fn secret_id_file(&self) -> PathBuf {
        self.files.path().join("secret-id")
    }

    async fn new_secret_id(&self) {
        let answer = self.bao.write(&format!("auth/{}/role/r/secret-id", self.name), json!({})).await;
        fs::write(self.secret_id_file(), answer["data"]["secret_id"].as_str().unwrap()).unwrap();
    }

    async fn put(&self, name: &str, fields: serde_json::Value) {
        self.bao.put(&format!("secret/data/{}/{}", self.name, encoded(&id(name))), fields).await;
    }

    fn settings(&self) -> VaultSettings {
        let auth = VaultAuth::AppRole {
            mount: self.name.to_owned(),
            role_id: self.role_id.clone(),
            secret_id_file: self.secret_id_file(),
        };
        VaultSettings { path_prefix: self.name.to_owned(), ..VaultSettings::new(&self.bao.address, auth) }
    }

    fn store(&self) -> VaultStore {
        VaultStore::new(self.settings()).unwrap()
    }

    /// Ends every session that a login at this team's AppRole gave.
    async fn revoke_all(&self) {
        self.bao.write(&format!("sys/leases/revoke-prefix/auth/{}", self.name), json!({})).await;
    }
}

/// The id as one segment, by other means than the store's own.
fn encoded(id: &SecretId) -> String {
    id.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn with_token(bao: &Bao, file: &Path) -> VaultSettings {
    VaultSettings::new(&bao.address, VaultAuth::Token(TokenSource::File(file.to_owned())))
}

#[tokio::test]
async fn text_and_bytes_of_version_2_arrive_as_they_are() {
    let team = Team::new("values", json!({})).await;
    team.put("text", json!({"value": "a\nb é", "owner": {"name": "x"}})).await;
    team.put("empty", json!({"value": ""})).await;
    team.put("bytes", json!({"value_base64": "/wD/"})).await;
    let store = team.store();
    assert_eq!(text(&store, "text").await, "a\nb é");
    assert_eq!(text(&store, "empty").await, "");
    assert_eq!(store.get(&id("bytes")).await.unwrap().expose_bytes(), b"\xff\x00\xff");
}

#[tokio::test]
async fn the_latest_version_counts_and_a_deleted_one_is_not_found() {
    let team = Team::new("versions", json!({})).await;
    team.put("k", json!({"value": "old"})).await;
    team.put("k", json!({"value": "new"})).await;
    let store = team.store();
    assert_eq!(text(&store, "k").await, "new");
    team.bao.delete(&format!("secret/data/versions/{}", encoded(&id("k")))).await;
    assert_eq!(class(&store, "k").await, FailureClass::NotFound);
}

#[tokio::test]
async fn version_1_has_the_same_fields_without_versions() {
    let bao = bao().await;
    let files = tempfile::tempdir().unwrap();
    bao.write("sys/mounts/engines/kv1", json!({"type": "kv", "options": {"version": "1"}})).await;
    bao.write(&format!("engines/kv1/{}", encoded(&id("k"))), json!({"password": "v"})).await;
    bao.policy("kv1", "path \"engines/kv1/*\" { capabilities = [\"read\"] }").await;
    let token = files.path().join("token");
    fs::write(&token, bao.token("kv1").await).unwrap();
    let settings = VaultSettings {
        mount: "engines/kv1".to_owned(),
        kv_version: KvVersion::V1,
        field: "password".to_owned(),
        ..with_token(bao, &token)
    };
    let store = VaultStore::new(settings).unwrap();
    assert_eq!(text(&store, "k").await, "v");
    assert_eq!(class(&store, "missing").await, FailureClass::NotFound);
}

#[tokio::test]
async fn missing_empty_and_malformed_are_told_apart() {
    let team = Team::new("kinds", json!({})).await;
    team.put("other-field", json!({"password": "planted"})).await;
    team.put("number", json!({"value": 5})).await;
    let store = team.store();
    assert_eq!(class(&store, "missing").await, FailureClass::NotFound);
    assert_eq!(class(&store, "other-field").await, FailureClass::Empty);
    assert_eq!(class(&store, "number").await, FailureClass::Malformed);
}

#[tokio::test]
async fn outside_the_policy_is_denied_and_inside_it_missing_is_not_found() {
    let team = Team::new("inside", json!({})).await;
    let settings = VaultSettings { path_prefix: "outside".to_owned(), ..team.settings() };
    let outside = error(&VaultStore::new(settings).unwrap(), "k").await;
    assert_eq!(outside.class(), FailureClass::Denied);
    assert!(outside.detail().contains(r#"path "secret/data/outside/*" { capabilities = ["read"] }"#), "{outside}");
    assert_eq!(class(&team.store(), "k").await, FailureClass::NotFound);
}

#[tokio::test]
async fn what_is_denied_costs_no_login_each_time() {
    let team = Team::new("denied", json!({})).await;
    let store = VaultStore::new(VaultSettings { path_prefix: "elsewhere".to_owned(), ..team.settings() }).unwrap();
    for _ in 0..5 {
        assert_eq!(class(&store, "k").await, FailureClass::Denied);
    }
    assert_eq!(team.bao.logins("denied").await, 1);
}

#[tokio::test]
async fn a_wrong_mount_and_a_wrong_version_say_so_instead_of_not_found() {
    let bao = bao().await;
    let files = tempfile::tempdir().unwrap();
    let token = files.path().join("token");
    bao.policy("all", "path \"*\" { capabilities = [\"read\"] }").await;
    fs::write(&token, bao.token("all").await).unwrap();
    for (mount, kv_version, advice) in
        [("nowhere", KvVersion::V2, "set mount"), ("secret", KvVersion::V1, "set kvVersion")]
    {
        let settings = VaultSettings { mount: mount.to_owned(), kv_version, ..with_token(bao, &token) };
        let error = error(&VaultStore::new(settings).unwrap(), "k").await;
        assert_eq!(error.class(), FailureClass::Unavailable);
        assert!(error.detail().contains(advice), "{error}");
    }
}

#[tokio::test]
async fn odd_names_are_one_segment_or_cannot_be_there() {
    let team = Team::new("odd", json!({})).await;
    let store = team.store();
    for name in ODD_NAMES {
        team.put(name, json!({"value": format!("of {name}")})).await;
        assert_eq!(text(&store, name).await, format!("of {name}"));
    }
    for name in ["a/b", "/", "../../x", "a\nb", "a\0b", "a\u{7f}", "a\u{200b}b"] {
        assert_eq!(class(&store, name).await, FailureClass::NotFound, "{name:?}");
    }
}

#[tokio::test]
async fn after_its_token_is_revoked_the_store_logs_in_again() {
    let team = Team::new("revoked", json!({})).await;
    team.put("k", json!({"value": "v"})).await;
    let store = team.store();
    assert_eq!(text(&store, "k").await, "v");
    team.revoke_all().await;
    assert_eq!(text(&store, "k").await, "v");
    assert_eq!(team.bao.logins("revoked").await, 1);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    // The secret id is good for one login, so that nothing but renewals can keep the store going.
    let role = json!({"token_ttl": "3s", "token_max_ttl": "1h", "secret_id_num_uses": 1});
    let team = Team::new("renewed", role).await;
    team.put("k", json!({"value": "v"})).await;
    let store = team.store();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(7) {
        assert_eq!(text(&store, "k").await, "v");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn where_a_token_cannot_be_renewed_a_login_comes_before_its_end() {
    let team = Team::new("short", json!({"token_ttl": "2s", "token_max_ttl": "2s"})).await;
    team.put("k", json!({"value": "v"})).await;
    let store = team.store();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        assert_eq!(text(&store, "k").await, "v");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_refused_login_is_denied_and_a_new_credential_in_the_file_helps() {
    let team = Team::new("refused", json!({})).await;
    team.put("k", json!({"value": "v"})).await;
    fs::write(team.secret_id_file(), "planted-wrong-secret-id").unwrap();
    let store = team.store();
    let refused = error(&store, "k").await;
    assert_eq!(refused.class(), FailureClass::Denied);
    assert!(refused.detail().contains("invalid role or secret ID"), "{refused}");
    assert!(!refused.detail().contains("planted"), "{refused}");
    team.new_secret_id().await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(text(&store, "k").await, "v");
}

#[tokio::test]
async fn a_token_of_a_file_is_read_again_when_it_no_longer_works() {
    let bao = bao().await;
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("token");
    bao.policy("tokens", "path \"secret/data/tokens/*\" { capabilities = [\"read\"] }").await;
    bao.put(&format!("secret/data/tokens/{}", encoded(&id("k"))), json!({"value": "v"})).await;
    let first = bao.token("tokens").await;
    fs::write(&file, format!("{first}\n")).unwrap();
    let settings = VaultSettings { path_prefix: "tokens".to_owned(), ..with_token(bao, &file) };
    let store = VaultStore::new(settings).unwrap();
    assert_eq!(text(&store, "k").await, "v");
    bao.write("auth/token/revoke", json!({"token": first})).await;
    assert_eq!(class(&store, "k").await, FailureClass::Denied);
    fs::write(&file, bao.token("tokens").await).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(text(&store, "k").await, "v");
}

#[tokio::test]
async fn a_jwt_is_exchanged_for_a_token() {
    let bao = bao().await;
    let files = tempfile::tempdir().unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    bao.write("sys/auth/jwt", json!({"type": "jwt"})).await;
    let config = json!({"jwt_validation_pubkeys": [key.public_key_pem()], "jwt_supported_algs": ["EdDSA"]});
    bao.write("auth/jwt/config", config).await;
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "bound_subject": "webhook",
        "token_policies": ["jwt"],
    });
    bao.write("auth/jwt/role/webhook", role).await;
    bao.policy("jwt", "path \"secret/data/jwt/*\" { capabilities = [\"read\"] }").await;
    bao.put(&format!("secret/data/jwt/{}", encoded(&id("k"))), json!({"value": "v"})).await;

    let file = files.path().join("jwt");
    let store = |role: &str| {
        let auth = VaultAuth::Jwt { mount: "jwt".to_owned(), role: role.to_owned(), token_path: file.clone() };
        let settings = VaultSettings { path_prefix: "jwt".to_owned(), ..VaultSettings::new(&bao.address, auth) };
        VaultStore::new(settings).unwrap()
    };
    fs::write(&file, jwt(&key, "webhook")).unwrap();
    assert_eq!(text(&store("webhook"), "k").await, "v");
    let wrong_role = error(&store("other"), "k").await;
    assert_eq!(wrong_role.class(), FailureClass::Denied);
    assert!(wrong_role.detail().contains("auth/jwt with role \"other\""), "{wrong_role}");
    fs::write(&file, jwt(&key, "somebody else")).unwrap();
    let wrong_subject = error(&store("webhook"), "k").await;
    assert_eq!(wrong_subject.class(), FailureClass::Denied, "{wrong_subject}");
}

fn jwt(key: &KeyPair, subject: &str) -> String {
    let encode = |value: serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let claims = json!({"sub": subject, "aud": "vault", "exp": 4_102_444_800_u64, "iat": 1_700_000_000});
    let signed = format!("{}.{}", encode(json!({"alg": "EdDSA", "typ": "JWT"})), encode(claims));
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

#[tokio::test]
async fn a_namespace_has_its_own_secrets() {
    let bao = bao().await;
    let files = tempfile::tempdir().unwrap();
    bao.write("sys/namespaces/team", json!({})).await;
    bao.write_in("team", "sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}})).await;
    bao.write_in("team", &format!("secret/data/{}", encoded(&id("k"))), json!({"data": {"value": "v"}})).await;
    let rules = json!({"policy": "path \"secret/data/*\" { capabilities = [\"read\"] }"});
    bao.write_in("team", "sys/policies/acl/readers", rules).await;
    let token = bao.write_in("team", "auth/token/create", json!({"policies": ["readers"]})).await;
    let file = files.path().join("token");
    fs::write(&file, token["auth"]["client_token"].as_str().unwrap()).unwrap();
    let settings = VaultSettings { namespace: Some("team".to_owned()), ..with_token(bao, &file) };
    assert_eq!(text(&VaultStore::new(settings).unwrap(), "k").await, "v");
}

#[tokio::test]
async fn no_value_and_no_credential_is_in_a_log_or_an_error() {
    logs::capture();
    let team = Team::new("leaks", json!({})).await;
    team.put("k", json!({"value": "planted-value"})).await;
    team.put("b", json!({"value_base64": "planted-value"})).await;
    team.put("o", json!({"password": "planted-value"})).await;
    let store = team.store();
    assert_eq!(text(&store, "k").await, "planted-value");
    let mut errors = format!("{:?}", team.settings());
    for name in ["b", "o"] {
        errors += &format!("{:?}", error(&store, name).await);
    }
    let secret_id = fs::read_to_string(team.secret_id_file()).unwrap();
    let log = logs::whole_log();
    assert!(log.contains("TRACE"), "the log is captured");
    for planted in ["planted-value", secret_id.as_str()] {
        assert!(!log.contains(planted) && !errors.contains(planted), "{planted}: {errors}");
    }
}
