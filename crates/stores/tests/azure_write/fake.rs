//! Writing to Key Vault, over a vault in memory.

#[path = "vault.rs"]
#[allow(unreachable_pub)]
mod vault;

use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::azure::AzureWriter;
use flyte_secrets_stores::{NewSecret, PageRequest, SecretKind, SecretWriter, WriteFailure};

use self::vault::{Accident, Vault};
use super::*;
use crate::writers::{self, failure, pull, read};

/// The name of the secret `k`.
const K: &str = "1-flyte-development-flytesnacks-NM";

/// A vault and those who use it.
struct Place {
    azure: Azure,
    vault: Arc<Vault>,
}

impl Place {
    async fn new() -> Self {
        let vault = Arc::new(Vault::default());
        let answering = Arc::clone(&vault);
        Self { azure: Azure::vault(move |seen| answering.answer(seen)).await, vault }
    }

    fn writer(&self) -> AzureWriter {
        writer(&self.azure, Duration::from_secs(20))
    }

    fn lines(&self) -> Vec<String> {
        let shown =
            |seen: &Seen| format!("{} {}", seen.method, seen.target.split('?').next().unwrap().trim_end_matches('/'));
        let asked = self.azure.edge.requests();
        asked.iter().filter(|seen| !is_login(seen) && !seen.header("authorization").is_empty()).map(shown).collect()
    }
}

fn writer(azure: &Azure, timeout: Duration) -> AzureWriter {
    let file = azure.files.path().join("federated").to_str().unwrap().to_owned();
    let variable = move |name: &str| match name {
        "AZURE_TENANT_ID" => Some(TENANT.to_owned()),
        "AZURE_CLIENT_ID" => Some("c".to_owned()),
        "AZURE_FEDERATED_TOKEN_FILE" => Some(file.clone()),
        _ => None,
    };
    AzureWriter::with_environment(AzureSettings { timeout, ..azure.settings() }, &variable).unwrap()
}

#[tokio::test]
async fn a_secret_is_made_read_changed_and_gone() {
    let place = Place::new().await;
    writers::a_secret_is_made_read_changed_and_gone(&place.writer(), &place.azure.store()).await;
}

#[tokio::test]
async fn image_pull_secrets_are_docker_configurations() {
    let place = Place::new().await;
    writers::image_pull_secrets_are_docker_configurations(&place.writer(), &place.azure.store()).await;
}

#[tokio::test]
async fn every_name_is_kept_exactly_that_is_not_too_long() {
    let place = Place::new().await;
    let kept = writers::names_are_refused_or_kept_exactly(&place.writer(), &place.azure.store()).await;
    assert_eq!(kept, writers::ODD_NAMES);
}

#[tokio::test]
async fn what_key_vault_cannot_hold_is_refused_before_it_is_asked() {
    let place = Place::new().await;
    let writer = place.writer();
    writers::what_is_ambiguous_or_too_long_is_refused(&writer).await;
    let of = |domain: &str, project: &str, name: &str| SecretId {
        domain: domain.to_owned(),
        project: project.to_owned(),
        ..id(name)
    };
    for (id, part) in [
        (of("d", "p", &"x".repeat(300)), "127"),
        (of("d", "..", "k"), "holds '.'"),
        (of("d", "%2f", "k"), "holds '%'"),
        (of("d", "ü", "k"), "holds 'ü'"),
        (of("d", "Project", "k"), "upper-case"),
        (of("Domain", "", "k"), "upper-case"),
    ] {
        let error = writer.check(&id).unwrap_err();
        assert!(error.failure() == WriteFailure::Invalid && error.detail().contains(part), "{error}");
    }
    // Bytes in base64 and escaped text are longer than they are.
    for value in [
        SecretValue::text("x".repeat(25_600)),
        SecretValue::binary(vec![1; 20_000]),
        SecretValue::text("\u{1}".repeat(5_000)),
    ] {
        let secret = NewSecret { value, ..writers::text("k", "") };
        assert_eq!(failure(writer.create(&secret).await), Some(WriteFailure::Invalid));
        assert_eq!(failure(writer.update(&secret).await), Some(WriteFailure::Invalid));
    }
    assert_eq!(place.azure.edge.lines(), [""; 0]);
    writer.create(&writers::text("k", &"x".repeat(25_500))).await.unwrap();
}

#[tokio::test]
async fn lists_hold_a_scope_and_those_within() {
    writers::lists_hold_a_scope_and_those_within(&Place::new().await.writer()).await;
}

#[tokio::test]
async fn a_list_leaves_out_what_is_none_of_flytes_and_what_has_ended() {
    let place = Place::new().await;
    let writer = place.writer();
    for name in ["a", "b", "c"] {
        writer.create(&writers::text(name, "v")).await.unwrap();
    }
    for other in ["certificate", "1-flyte-d", "1-flyte-d-p-nm", "1-flyte-Development-p-NM", "2-flyte-d-p-NM"] {
        place.vault.set(other, json!({"value": "v"}));
    }
    place.vault.accident(Accident { request: ("DELETE", ""), done: false });
    assert_eq!(failure(writer.delete(&id("b")).await), Some(WriteFailure::Unavailable));
    let listed = writers::list(&writer, &id(""), 2).await;
    assert_eq!(listed.iter().map(|id| id.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
}

#[tokio::test]
async fn of_a_hundred_creators_one_wins_and_all_updates_are_versions() {
    let place = Place::new().await;
    let (writer, fetcher) = (place.writer(), place.azure.store());
    writers::one_of_many_creators_wins(&writer, &fetcher, 100).await;
    writers::many_updates_at_once_are_confirmed(&writer, &fetcher, 100).await;
    let name = encode_name(&id("changed")).unwrap();
    assert_eq!(place.vault.versions(&name).len(), 101);
}

#[tokio::test]
async fn of_two_processes_that_make_a_secret_at_once_at_most_one_is_told_so() {
    let place = Place::new().await;
    let other = json!({"value": "{}", "tags": {"flyte-secrets-created": "1-other"}});
    place.vault.meanwhile(move |vault| vault.set(K, other));
    let error = place.writer().create(&writers::text("k", "v")).await.unwrap_err();
    assert_eq!(error.failure(), WriteFailure::Unavailable, "{error}");
    assert!(error.detail().contains("at the same moment"), "{error}");
    assert_eq!(failure(place.writer().create(&writers::text("k", "v")).await), Some(WriteFailure::AlreadyExists));
}

#[tokio::test]
async fn many_processes_that_make_a_secret_at_once_are_told_so_at_most_once() {
    let place = Place::new().await;
    let processes: Vec<_> = (0..20).map(|_| place.writer()).collect();
    let secrets: Vec<_> = (0..20).map(|number| writers::text("k", &number.to_string())).collect();
    let answers = join_all(processes.iter().zip(&secrets).map(|(process, secret)| process.create(secret))).await;
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() <= 1, "{answers:?}");
    for error in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(error.failure(), WriteFailure::AlreadyExists | WriteFailure::Unavailable), "{error}");
    }
}

#[tokio::test]
async fn an_update_of_a_secret_that_another_process_deletes_is_not_found() {
    let place = Place::new().await;
    let writer = place.writer();
    writer.create(&writers::text("k", "v")).await.unwrap();
    place.vault.meanwhile(|vault| vault.delete(K));
    assert_eq!(failure(writer.update(&writers::text("k", "w")).await), Some(WriteFailure::NotFound));
}

#[tokio::test]
async fn an_update_keeps_the_tags_and_the_content_type_of_others() {
    let place = Place::new().await;
    let tags = json!({"team": "x", "flyte-secrets-removed": "false"});
    place.vault.set(K, json!({"value": "{}", "tags": tags, "contentType": "application/json"}));
    let before = place.writer().describe(&id("k")).await.unwrap();
    assert!(before.created.unwrap().elapsed().unwrap() < Duration::from_secs(60));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    place.writer().update(&writers::text("k", "v")).await.unwrap();
    let versions = place.vault.versions(K);
    let latest = versions.last().unwrap();
    assert_eq!((latest.tags["team"].as_str(), latest.content_type.as_deref()), (Some("x"), Some("application/json")));
    assert_eq!(place.writer().describe(&id("k")).await.unwrap(), before);
    let full: serde_json::Map<_, _> = (0..15).map(|number| (number.to_string(), json!("x"))).collect();
    place.vault.set(K, json!({"value": "{}", "tags": full}));
    place.writer().update(&writers::text("k", "v")).await.unwrap();
}

#[tokio::test]
async fn a_deleted_name_is_recovered_without_any_old_value() {
    let place = Place::new().await;
    let (writer, fetcher) = (place.writer(), place.azure.store());
    writer.create(&pull("k", writers::DOCKER)).await.unwrap();
    writer.delete(&id("k")).await.unwrap();
    place.vault.slow_recovery(2);
    writer.create(&writers::text("k", "new")).await.unwrap();
    assert_eq!(read(&fetcher, "k").await.unwrap(), "new");
    assert_eq!(writer.describe(&id("k")).await.unwrap().kind, SecretKind::Generic);
    // The end of the old one came between.
    let enabled: Vec<_> = place.vault.versions(K).iter().map(|version| version.enabled).collect();
    assert_eq!(enabled, [true, false, true]);
}

#[tokio::test]
async fn what_others_deleted_is_not_brought_back() {
    let place = Place::new().await;
    place.vault.set(K, json!({"value": "planted"}));
    place.vault.delete(K);
    let error = place.writer().create(&writers::text("k", "v")).await.unwrap_err();
    assert_eq!(error.failure(), WriteFailure::Conflict, "{error}");
    assert!(error.detail().contains("az keyvault secret purge"), "{error}");
    assert_eq!(read(&place.azure.store(), "k").await, Err(FailureClass::NotFound));
    assert_eq!(failure(place.writer().describe(&id("k")).await), Some(WriteFailure::NotFound));
}

#[tokio::test]
async fn a_disabled_secret_is_there_and_gets_a_value_again() {
    let place = Place::new().await;
    let writer = place.writer();
    writer.create(&pull("k", writers::DOCKER)).await.unwrap();
    let tags = place.vault.versions(K)[0].tags.clone();
    place.vault.set(K, json!({"value": "{}", "tags": tags, "attributes": {"enabled": false}}));
    assert_eq!(writer.describe(&id("k")).await.unwrap().kind, SecretKind::ImagePull);
    assert_eq!(failure(writer.create(&writers::text("k", "v")).await), Some(WriteFailure::AlreadyExists));
    assert_eq!(writers::list(&writer, &id(""), 1).await, [id("k")]);
    writer.update(&pull("k", writers::DOCKER)).await.unwrap();
    assert_eq!(read(&place.azure.store(), "k").await.unwrap(), writers::DOCKER);
}

/// The steps of the operations, each of which a process may not survive.
const STEPS: [(&str, &str); 6] = [
    ("GET", "/secrets"),
    ("PUT", "/secrets"),
    ("DELETE", "/secrets"),
    ("GET", "/deletedsecrets"),
    ("POST", "/deletedsecrets"),
    ("GET", "/secrets/1-flyte-development-flytesnacks-NM/versions"),
];

#[tokio::test]
async fn after_an_end_at_any_step_of_a_creation_the_next_try_finishes_it() {
    for deleted_before in [false, true] {
        for (request, done) in STEPS.into_iter().flat_map(|step| [(step, false), (step, true)]) {
            let place = Place::new().await;
            if deleted_before {
                place.writer().create(&writers::text("k", "old")).await.unwrap();
                place.writer().delete(&id("k")).await.unwrap();
            }
            place.vault.accident(Accident { request, done });
            let first = place.writer().create(&writers::text("k", "new")).await;
            assert_eq!(first.is_err(), !place.vault.no_accident(), "{request:?} {done} {first:?}");
            let between = read(&place.azure.store(), "k").await;
            assert_ne!(between.as_deref(), Ok("old"), "{request:?} {done}");
            let second = failure(place.writer().create(&writers::text("k", "new")).await);
            let expected = between.is_ok().then_some(WriteFailure::AlreadyExists);
            assert_eq!(second, expected, "{request:?} {done}");
            assert_eq!(read(&place.azure.store(), "k").await.unwrap(), "new");
        }
    }
}

#[tokio::test]
async fn after_an_end_at_any_step_of_a_deletion_the_next_try_finishes_it() {
    for (request, done) in STEPS.into_iter().flat_map(|step| [(step, false), (step, true)]) {
        let place = Place::new().await;
        place.writer().create(&writers::text("k", "old")).await.unwrap();
        place.vault.accident(Accident { request, done });
        let first = place.writer().delete(&id("k")).await;
        // Some steps are none of a deletion.
        assert_eq!(first.is_err(), !place.vault.no_accident(), "{request:?} {done} {first:?}");
        let is_there = place.writer().describe(&id("k")).await.is_ok();
        assert_eq!(read(&place.azure.store(), "k").await.is_ok(), is_there, "{request:?} {done}");
        let second = failure(place.writer().delete(&id("k")).await);
        assert_eq!(second, (!is_there).then_some(WriteFailure::NotFound), "{request:?} {done}");
        assert_eq!(read(&place.azure.store(), "k").await, Err(FailureClass::NotFound), "{request:?} {done}");
        place.writer().create(&writers::text("k", "new")).await.unwrap();
    }
}

#[tokio::test]
async fn after_an_end_at_any_step_of_an_update_the_value_is_the_old_or_the_new_one() {
    for (request, done) in STEPS.into_iter().flat_map(|step| [(step, false), (step, true)]) {
        let place = Place::new().await;
        place.writer().create(&writers::text("k", "old")).await.unwrap();
        place.vault.accident(Accident { request, done });
        let first = place.writer().update(&writers::text("k", "new")).await;
        assert_eq!(first.is_err(), !place.vault.no_accident(), "{request:?} {done} {first:?}");
        let between = read(&place.azure.store(), "k").await.unwrap();
        assert!(between == "new" || first.is_err() && between == "old", "{request:?} {done} {between}");
        place.writer().update(&writers::text("k", "new")).await.unwrap();
        assert_eq!(read(&place.azure.store(), "k").await.unwrap(), "new");
    }
}

#[tokio::test]
async fn what_is_asked_is_what_the_documentation_says() {
    let place = Place::new().await;
    let writer = place.writer();
    let (secret, deleted) = (format!("/secrets/{K}"), format!("/deletedsecrets/{K}"));
    writer.create(&writers::text("k", "v")).await.unwrap();
    assert_eq!(place.lines(), [format!("GET {secret}"), format!("PUT {secret}"), format!("GET {secret}/versions")]);
    writer.update(&writers::text("k", "w")).await.unwrap();
    assert_eq!(place.lines()[3..], [format!("GET {secret}"), format!("PUT {secret}")]);
    writer.delete(&id("k")).await.unwrap();
    assert_eq!(place.lines()[5..], [format!("GET {secret}"), format!("PUT {secret}"), format!("DELETE {secret}")]);
    writer.create(&writers::text("k", "x")).await.unwrap();
    let recovery = [
        format!("GET {secret}"),
        format!("PUT {secret}"),
        format!("GET {deleted}"),
        format!("POST {deleted}/recover"),
        format!("PUT {secret}"),
        format!("GET {secret}/versions"),
        format!("GET {secret}/versions"),
    ];
    assert_eq!(place.lines()[8..], recovery, "of four versions, three to a page");
    writer.list(&id(""), PageRequest { after: None, limit: 10 }).await.unwrap();
    assert_eq!(place.lines()[15..], ["GET /secrets"]);
}

#[tokio::test]
async fn every_failure_of_a_write_has_its_kind_and_no_value() {
    for (reply, expected, part) in [
        (
            problem(403, "Forbidden", "Caller is not authorized.", Some("ForbiddenByRbac")),
            WriteFailure::Denied,
            "\"Key Vault Secrets Officer\"",
        ),
        (problem(400, "BadParameter", "The value planted is too long.", None), WriteFailure::Invalid, "BadParameter"),
        (problem(409, "Conflict", "", Some("ObjectIsBeingDeleted")), WriteFailure::Late, "1500 ms"),
        (problem(429, "Throttled", "", None), WriteFailure::Unavailable, "slow down"),
        (problem(500, "InternalServerError", "", None), WriteFailure::Unavailable, "failed"),
        (Reply::new(404, "<html>"), WriteFailure::Unavailable, "check vaultURI"),
        (Reply::new(302, "").with("location", "https://elsewhere"), WriteFailure::Unavailable, "redirect"),
        (Reply::new(200, "{}").after(Duration::from_secs(9)), WriteFailure::Late, "1500 ms"),
    ] {
        let azure = Azure::vault(move |seen| match seen.method.as_str() {
            "GET" => problem(404, "SecretNotFound", "", None),
            _ => reply.clone(),
        })
        .await;
        let error =
            writer(&azure, Duration::from_millis(1500)).create(&writers::text("k", "planted")).await.unwrap_err();
        assert_eq!(error.failure(), expected, "{error}");
        assert!(error.detail().contains(part), "{error}");
        assert!(!format!("{error:?}").contains("planted"), "{error}");
    }
}

#[tokio::test]
async fn a_vault_without_an_identity_to_ask_it_with_denies_everything() {
    let azure =
        Azure::start(|| Reply::new(401, json!({"error_description": "AADSTS700016"})), |_| Reply::new(500, "")).await;
    let error = writer(&azure, Duration::from_secs(5)).create(&writers::text("k", "planted")).await.unwrap_err();
    assert_eq!(error.failure(), WriteFailure::Denied, "{error}");
    assert!(error.detail().contains("AADSTS700016"), "{error}");
}

#[tokio::test]
async fn no_value_is_in_a_log_or_an_error() {
    logs::capture();
    let place = Place::new().await;
    let writer = place.writer();
    writer.create(&writers::text("k", "planted-4b7e")).await.unwrap();
    writer.update(&writers::text("k", "planted-4b7e")).await.unwrap();
    let mut errors = format!("{:?}", writer.create(&writers::text("k", "planted-4b7e")).await);
    place.vault.accident(Accident { request: ("PUT", "/secrets"), done: true });
    errors += &format!("{:?}", writer.update(&writers::text("k", "planted-4b7e")).await);
    writer.delete(&id("k")).await.unwrap();
    let log = logs::whole_log();
    assert!(log.contains("TRACE"), "the log is captured");
    assert!(!log.contains("planted-4b7e") && !errors.contains("planted-4b7e"), "{errors}");
}
