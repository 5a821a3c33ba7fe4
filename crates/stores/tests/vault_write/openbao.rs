//! Writing to a real OpenBao, with the policy of the documentation.

use std::time::SystemTime;

use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::vault::VaultWriter;
use flyte_secrets_stores::{NewSecret, PageRequest, SecretKind, SecretWriter, WriteFailure};
use futures::future::join_all;
use serde_json::Value;

use super::*;
use crate::writers::{self, failure, pull, read};

/// A folder of secrets, and who may write there: the identity reads no value.
struct Folder {
    name: &'static str,
    bao: &'static Bao,
    files: TempDir,
}

impl Folder {
    async fn new(name: &'static str) -> Self {
        let bao = bao().await;
        bao.policy(
            &format!("write-{name}"),
            &format!(
                r#"path "secret/data/{name}/*" {{ capabilities = ["create", "update", "patch"] }}
                path "secret/subkeys/{name}/*" {{ capabilities = ["read"] }}
                path "secret/metadata/{name}/*" {{ capabilities = ["read", "list", "delete"] }}"#
            ),
        )
        .await;
        bao.policy(&format!("read-{name}"), &format!(r#"path "secret/data/{name}/*" {{ capabilities = ["read"] }}"#))
            .await;
        let files = tempfile::tempdir().unwrap();
        for part in ["write", "read"] {
            fs::write(files.path().join(part), bao.token(&format!("{part}-{name}")).await).unwrap();
        }
        Self { name, bao, files }
    }

    fn settings(&self, token: &str) -> VaultSettings {
        let settings = with_token(self.bao, &self.files.path().join(token));
        VaultSettings { path_prefix: self.name.to_owned(), timeout: Duration::from_secs(30), ..settings }
    }

    fn writer(&self) -> VaultWriter {
        VaultWriter::new(self.settings("write")).unwrap()
    }

    fn fetcher(&self) -> VaultStore {
        VaultStore::new(self.settings("read")).unwrap()
    }

    fn path(&self, part: &str, name: &str) -> String {
        format!("secret/{part}/{}/{}", self.name, encoded(&id(name)))
    }

    /// Fields and version, as root sees them.
    async fn raw(&self, name: &str) -> (Value, u64) {
        let answer = self.bao.read(&self.path("data", name)).await;
        (answer["data"]["data"].clone(), answer["data"]["metadata"]["version"].as_u64().unwrap())
    }
}

#[tokio::test]
async fn a_secret_is_made_read_changed_and_gone() {
    let folder = Folder::new("w-life").await;
    writers::a_secret_is_made_read_changed_and_gone(&folder.writer(), &folder.fetcher()).await;
}

#[tokio::test]
async fn image_pull_secrets_are_docker_configurations() {
    let folder = Folder::new("w-pull").await;
    writers::image_pull_secrets_are_docker_configurations(&folder.writer(), &folder.fetcher()).await;
    let (fields, _) = folder.raw("p").await;
    assert_eq!(fields["flyte_image_pull_secret"], "true");
}

#[tokio::test]
async fn names_are_refused_or_kept_exactly() {
    let folder = Folder::new("w-names").await;
    let kept = writers::names_are_refused_or_kept_exactly(&folder.writer(), &folder.fetcher()).await;
    assert_eq!(
        kept,
        ["..", "%2f", "a%2e%2e", "a__b", "__", "_a_", "a__key__b", "project__q", "a b", "a?b=c#d", "my-AbCdEf"]
    );
    writers::what_is_ambiguous_or_too_long_is_refused(&folder.writer()).await;
}

#[tokio::test]
async fn names_of_any_length_up_to_the_limit_and_with_odd_ends_are_found_again() {
    let folder = Folder::new("w-long").await;
    let (writer, fetcher) = (folder.writer(), folder.fetcher());
    let room = 512 - id("").to_string().len();
    let (longest, too_long) = ("x".repeat(room), "x".repeat(room + 1));
    for name in [" ", " a ", "a.", "+list", "~", "300".repeat(100).as_str(), &longest] {
        writer.create(&writers::text(name, name)).await.unwrap();
        assert_eq!(read(&fetcher, name).await.unwrap(), name);
    }
    assert_eq!(writers::list(&writer, &id(""), 2).await.len(), 7);
    assert_eq!(failure(writer.check(&id(&too_long))), Some(WriteFailure::Invalid));
}

#[tokio::test]
async fn lists_hold_a_scope_and_those_within() {
    writers::lists_hold_a_scope_and_those_within(&Folder::new("w-lists").await.writer()).await;
}

#[tokio::test]
async fn a_list_leaves_out_what_is_deleted_or_none_of_flytes() {
    let folder = Folder::new("w-list").await;
    let writer = folder.writer();
    for name in ["a", "b", "c", "d", "e"] {
        writer.create(&writers::text(name, "v")).await.unwrap();
    }
    folder.bao.delete(&folder.path("data", "b")).await;
    folder.bao.write(&folder.path("destroy", "c"), json!({"versions": [1]})).await;
    folder.bao.put("secret/data/w-list/other", json!({"value": "v"})).await;
    folder.bao.put(&format!("{}/below", folder.path("data", "a")), json!({"value": "v"})).await;
    folder.bao.write(&folder.path("metadata", "only-metadata"), json!({"custom_metadata": {"a": "b"}})).await;
    for limit in [1, 2, 3, 10] {
        let listed = writers::list(&writer, &id(""), limit).await;
        assert_eq!(listed.iter().map(|id| id.name.as_str()).collect::<Vec<_>>(), ["a", "d", "e"], "{limit}");
    }
    let page = writer.list(&id(""), PageRequest { after: None, limit: 3 }).await.unwrap();
    assert_eq!(page.next, None, "nothing is behind the last one but deleted ones");
}

#[tokio::test]
async fn of_a_hundred_creators_one_wins_and_no_update_is_lost() {
    let folder = Folder::new("w-race").await;
    // Of so many processes: within one of them writers take turns.
    let services: Vec<_> = (0..4).map(|_| folder.writer()).collect();
    let secrets: Vec<_> = (0..100).map(|number| writers::text("raced", &number.to_string())).collect();
    let created = secrets.iter().zip(services.iter().cycle()).map(|(secret, service)| service.create(secret));
    let created = join_all(created).await;
    let winners: Vec<_> = (0..100).filter(|number| created[*number].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{created:?}");
    for error in created.into_iter().filter_map(Result::err) {
        assert_eq!(error.failure(), WriteFailure::AlreadyExists, "{error}");
    }
    assert_eq!(folder.raw("raced").await, (json!({"value": winners[0].to_string()}), 1));

    let updated = secrets.iter().zip(services.iter().cycle()).map(|(secret, service)| service.update(secret));
    let updated = join_all(updated).await;
    for error in updated.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(error.failure(), WriteFailure::Conflict, "{error}");
    }
    let confirmed = updated.iter().filter(|answer| answer.is_ok()).count() as u64;
    assert!(confirmed >= 90, "{confirmed} of 100");
    // Every confirmed one is a version, and every version was confirmed.
    assert_eq!(folder.raw("raced").await.1, 1 + confirmed);
}

#[tokio::test]
async fn an_update_leaves_fields_of_others_alone_and_changes_text_to_bytes() {
    let folder = Folder::new("w-fields").await;
    folder.bao.put(&folder.path("data", "k"), json!({"value": "old", "owner": {"name": "x"}})).await;
    let writer = folder.writer();
    let bytes = NewSecret { value: SecretValue::binary(b"\xff\x00".to_vec()), ..writers::text("k", "") };
    writer.update(&bytes).await.unwrap();
    assert_eq!(folder.raw("k").await, (json!({"value_base64": "/wA=", "owner": {"name": "x"}}), 2));
    assert_eq!(folder.fetcher().get(&id("k")).await.unwrap().expose_bytes(), b"\xff\x00");
    writer.update(&writers::text("k", "")).await.unwrap();
    assert_eq!(folder.raw("k").await, (json!({"value": "", "owner": {"name": "x"}}), 3));
    assert_eq!(read(&folder.fetcher(), "k").await.unwrap(), "");
}

#[tokio::test]
async fn a_secret_that_others_deleted_is_made_again_as_the_next_version() {
    let folder = Folder::new("w-deleted").await;
    let (writer, fetcher) = (folder.writer(), folder.fetcher());
    writer.create(&pull("deleted", writers::DOCKER)).await.unwrap();
    writer.create(&pull("destroyed", writers::DOCKER)).await.unwrap();
    folder.bao.delete(&folder.path("data", "deleted")).await;
    folder.bao.write(&folder.path("destroy", "destroyed"), json!({"versions": [1]})).await;
    // A crash of somebody who writes metadata first leaves this.
    folder.bao.write(&folder.path("metadata", "no-version"), json!({"custom_metadata": {"a": "b"}})).await;
    for (name, version) in [("deleted", 2), ("destroyed", 2), ("no-version", 1)] {
        for answer in [
            failure(writer.describe(&id(name)).await),
            failure(writer.update(&writers::text(name, "v")).await),
            failure(writer.delete(&id(name)).await),
        ] {
            assert_eq!(answer, Some(WriteFailure::NotFound), "{name}");
        }
        writer.create(&writers::text(name, "new")).await.unwrap();
        assert_eq!(read(&fetcher, name).await.unwrap(), "new");
        assert_eq!(folder.raw(name).await.1, version);
        assert_eq!(
            writer.describe(&id(name)).await.unwrap().kind,
            SecretKind::Generic,
            "the old kind went with its value"
        );
    }
}

#[tokio::test]
async fn a_deletion_takes_all_versions() {
    let folder = Folder::new("w-gone").await;
    let writer = folder.writer();
    writer.create(&writers::text("k", "planted-old")).await.unwrap();
    writer.update(&writers::text("k", "planted-new")).await.unwrap();
    writer.delete(&id("k")).await.unwrap();
    for path in [format!("{}?version=1", folder.path("data", "k")), folder.path("metadata", "k")] {
        assert_eq!(folder.bao.read(&path).await, json!({"errors": []}), "{path}");
    }
}

#[tokio::test]
async fn the_time_of_creation_stays_when_the_value_changes() {
    let folder = Folder::new("w-created").await;
    let writer = folder.writer();
    writer.create(&writers::text("k", "v")).await.unwrap();
    let before = writer.describe(&id("k")).await.unwrap();
    assert!(before.created.unwrap().elapsed().unwrap() < Duration::from_secs(60));
    assert_eq!(before.created.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos(), 0);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    writer.update(&writers::text("k", "w")).await.unwrap();
    assert_eq!(writer.describe(&id("k")).await.unwrap(), before);
}

#[tokio::test]
async fn values_are_held_up_to_the_limit_and_read_again() {
    let folder = Folder::new("w-large").await;
    let (writer, fetcher) = (folder.writer(), folder.fetcher());
    let large = "x".repeat(990_000);
    writer.create(&writers::text("k", &large)).await.unwrap();
    assert_eq!(read(&fetcher, "k").await.unwrap(), large);
    // Escaped, this one is longer than it is.
    for value in ["x".repeat(1_000_001), "\u{1}".repeat(200_000)] {
        assert_eq!(failure(writer.create(&writers::text("other", &value)).await), Some(WriteFailure::Invalid));
        assert_eq!(failure(writer.update(&writers::text("k", &value)).await), Some(WriteFailure::Invalid));
    }
    assert_eq!(failure(writer.describe(&id("other")).await), Some(WriteFailure::NotFound));
}

#[tokio::test]
async fn what_the_policy_lacks_is_named() {
    let folder = Folder::new("w-denied").await;
    let writer = VaultWriter::new(folder.settings("read")).unwrap();
    let denied = [
        (writer.create(&writers::text("k", "v")).await.err(), "secret/data/w-denied/*\" { capabilities = [\"create"),
        (
            writer.update(&writers::text("k", "v")).await.err(),
            "secret/subkeys/w-denied/*\" { capabilities = [\"read\"]",
        ),
        (
            writer.list(&id(""), PageRequest { after: None, limit: 1 }).await.err(),
            "secret/metadata/w-denied/*\" { capabilities = [\"list\"]",
        ),
    ];
    for (error, part) in denied {
        let error = error.unwrap();
        assert_eq!(error.failure(), WriteFailure::Denied, "{error}");
        assert!(error.detail().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_engine_says_so() {
    let bao = bao().await;
    let files = tempfile::tempdir().unwrap();
    let token = files.path().join("token");
    bao.policy("w-engines", "path \"*\" { capabilities = [\"read\", \"list\", \"create\", \"update\", \"patch\"] }")
        .await;
    fs::write(&token, bao.token("w-engines").await).unwrap();
    bao.write("sys/mounts/w-kv1", json!({"type": "kv", "options": {"version": "1"}})).await;
    let with = |mount: &str| VaultSettings { mount: mount.to_owned(), ..with_token(bao, &token) };
    for mount in ["nowhere", "w-kv1"] {
        let error = VaultWriter::new(with(mount)).unwrap().create(&writers::text("k", "v")).await.unwrap_err();
        assert_eq!(error.failure(), WriteFailure::Unavailable, "{error}");
        assert!(error.detail().contains("set mount"), "{error}");
    }
    let error = VaultWriter::new(VaultSettings { kv_version: KvVersion::V1, ..with("w-kv1") }).err().unwrap();
    assert!(error.to_string().contains("kvVersion: "), "{error}");
}

#[tokio::test]
async fn after_its_token_is_revoked_the_writer_logs_in_again() {
    let team = Team::new("w-revoked", json!({})).await;
    team.bao
        .policy(
            "w-revoked",
            r#"path "secret/data/w-revoked/*" { capabilities = ["create"] }
            path "secret/subkeys/w-revoked/*" { capabilities = ["read"] }"#,
        )
        .await;
    let writer = VaultWriter::new(team.settings()).unwrap();
    writer.create(&writers::text("a", "v")).await.unwrap();
    team.revoke_all().await;
    writer.create(&writers::text("b", "v")).await.unwrap();
    assert_eq!(writer.describe(&id("b")).await.unwrap().id, id("b"));
}

#[tokio::test]
async fn no_value_is_in_a_log_or_an_error() {
    logs::capture();
    let folder = Folder::new("w-logs").await;
    let writer = folder.writer();
    writer.create(&writers::text("k", "planted-value-9d1")).await.unwrap();
    let mut errors = format!("{:?}", writer.create(&writers::text("k", "planted-value-9d1")).await);
    writer.update(&writers::text("k", "planted-value-9d1")).await.unwrap();
    let denied = VaultWriter::new(folder.settings("read")).unwrap();
    errors += &format!("{:?}", denied.create(&pull("p", "planted-value-9d1")).await);
    errors += &format!("{:?}", denied.create(&writers::text("p", "planted-value-9d1")).await);
    let log = logs::whole_log();
    assert!(log.contains("TRACE"), "the log is captured");
    assert!(!log.contains("planted-value-9d1") && !errors.contains("planted-value-9d1"), "{errors}");
}
