//! docs/metrics.md: made of the registry itself, with every label and value that can be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use flyte_secrets_core::SecretManagerType;
use flyte_secrets_core::access::Rule;
use flyte_secrets_stores::{CacheEvent, CallOutcome, LookUpObserver, Scope};

use super::super::{CertificateRole, EventFate, Metrics};
use crate::leader::Leadership;
use crate::mirrors::Write;
use crate::registration::RegistrationState;
use crate::server::Outcome;

/// Values of labels that are told apart elsewhere, each where it is counted.
const REJECTED: [&str; 7] = [
    "not_found",
    "method_not_allowed",
    "unsupported_media_type",
    "too_large",
    "body_too_slow",
    "body_broken",
    "overloaded",
];
const MIRROR_FAILURES: [&str; 10] = [
    "taken",
    "too_large",
    "not_text",
    "changed",
    "source",
    "forbidden",
    "unreachable",
    "rejected",
    "contended",
    "late",
];
const INVALIDATIONS: [&str; 8] =
    ["dropped", "deferred", "dropped_later", "refused", "malformed", "unauthenticated", "forbidden", "unavailable"];
const STORES: [&str; 8] = ["AWS", "GCP", "Azure", "K8s", "Vault", "Http", "Local", "other"];

/// Metrics in which everything has happened once.
fn exercised() -> Metrics {
    let metrics = Metrics::new("");
    let managers: Vec<&'static str> = SecretManagerType::ALL.map(SecretManagerType::name).to_vec();
    for outcome in Outcome::ALL {
        metrics.admission(outcome, &managers, Duration::ZERO);
    }
    REJECTED.into_iter().for_each(|reason| metrics.rejected(reason));
    for store in STORES {
        metrics.store_retried(store);
        metrics.stale_served(store);
        for (scope, outcome) in
            Scope::ALL.into_iter().flat_map(|scope| CallOutcome::ALL.map(|outcome| (scope, outcome)))
        {
            metrics.store_call(store, scope, outcome, Duration::ZERO);
        }
    }
    for event in [CacheEvent::Hit, CacheEvent::NegativeHit, CacheEvent::Miss, CacheEvent::Joined, CacheEvent::Stale] {
        LookUpObserver::cache(&metrics, event);
    }
    for rule in [Rule::Organization, Rule::Namespace, Rule::Creator] {
        metrics.access_breach(rule.name(), true);
        metrics.access_breach(rule.name(), false);
    }
    Write::ALL.into_iter().for_each(|write| metrics.mirror_write(write.name()));
    MIRROR_FAILURES.into_iter().for_each(|reason| metrics.mirror_failed(reason));
    INVALIDATIONS.into_iter().for_each(|outcome| metrics.invalidation(outcome));
    EventFate::ALL.into_iter().for_each(|fate| metrics.event(fate));
    for role in CertificateRole::ALL {
        metrics.certificate_expires(role, Some(0));
    }
    metrics.leadership(&Leadership::Leading);
    metrics.registration(&RegistrationState::Pending { last_error: None });
    metrics.registration_succeeded(SystemTime::UNIX_EPOCH);
    metrics
}

/// One metric as the text of OpenMetrics shows it.
#[derive(Default)]
struct Row {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// The metrics of a text, by the names that queries use.
fn rows(text: &str) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            // The library ends every description with a full stop.
            rows.entry(name.to_owned()).or_default().help = help.trim_end_matches('.').to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            rows.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let (name, labels) = line.split_once('{').unwrap_or((line, ""));
            let family = |row: &&String| name.split(' ').next().is_some_and(|name| name.starts_with(row.as_str()));
            let Some(owner) = rows.keys().filter(family).max_by_key(|row| row.len()).cloned() else { continue };
            let labels = labels.split_once('}').map_or("", |(labels, _)| labels);
            for (label, value) in labels.split(',').filter_map(|pair| pair.split_once('=')) {
                let values = rows.entry(owner.clone()).or_default().labels.entry(label.to_owned()).or_default();
                values.insert(value.trim_matches('"').to_owned());
            }
        }
    }
    let queried = |(name, row): (String, Row)| match row.kind.as_str() {
        "counter" => (format!("{name}_total"), row),
        "info" => (format!("{name}_info"), row),
        _ => (name, row),
    };
    rows.into_iter().map(queried).collect()
}

fn document() -> String {
    let mut text = String::from(include_str!("metrics_head.md"));
    for (name, row) in rows(&exercised().text()) {
        let prefix = if name.starts_with("process_") { "" } else { "flyte:" };
        let label = |(label, values): (&String, &BTreeSet<String>)| {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            // A version and the bounds of a histogram are no names to know.
            if label == "version" || label == "le" {
                format!("`{label}`")
            } else {
                format!("`{label}`: {}", values.join(", "))
            }
        };
        let labels: Vec<_> = row.labels.iter().map(label).collect();
        let Row { kind, help, .. } = &row;
        text.push_str(&format!("| `{prefix}{name}` | {kind} | {} | {help} |\n", labels.join("; ")));
    }
    text
}

#[test]
fn the_document_holds_every_metric_with_every_label_and_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let document = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == document,
        "docs/metrics.md is out of date: UPDATE_DOCS=1 cargo test -p flyte-secrets-webhook writes it"
    );
}

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for (name, row) in rows(&exercised().text()) {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{name}");
        assert_eq!(row.kind == "counter", name.ends_with("_total"), "{name}");
        assert!(!row.help.is_empty(), "{name}");
        let unit = ["milli", "micro", "minutes", "kilobytes"].iter().find(|unit| name.contains(**unit));
        assert_eq!(unit, None, "{name}: base units are seconds and bytes");
    }
}
