//! What is counted, as Prometheus reads it.
#![allow(clippy::unwrap_used)]

mod documentation;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use flyte_secrets_stores::{CallOutcome, FailureClass, Scope};
use prometheus_client::metrics::counter::Counter;

use super::*;
use crate::admission::RefusalReason;
use crate::leader::Leadership;
use crate::registration::RegistrationState;
use crate::server::Outcome;

fn lines(metrics: &Metrics, part: &str) -> Vec<String> {
    metrics.text().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
}

#[test]
fn a_prefix_keeps_what_prometheus_allows_and_ends_a_scope() {
    let table = [
        ("flyte:", "flyte:"),
        ("flyte", "flyte:"),
        ("flyte_", "flyte_"),
        ("my-flyte:", "my_flyte:"),
        ("a.b/c d", "a_b_c_d:"),
        ("9lives:", "_9lives:"),
        ("flÿte:", "fl_te:"),
        ("", ""),
    ];
    for (configured, expected) in table {
        assert_eq!(name_prefix(configured), expected, "{configured:?}");
    }
}

#[test]
fn an_admission_counts_once_for_each_of_its_managers() {
    let metrics = Metrics::new("flyte:");
    metrics.admission(Outcome::Patched, &["K8s", "Embedded", "K8s"], Duration::from_millis(2));
    let counted: Vec<String> =
        lines(&metrics, "admissions_total{").into_iter().filter(|line| !line.ends_with(" 0")).collect();
    assert_eq!(counted.len(), 2, "{counted:?}");
    for manager in ["K8s", "Embedded"] {
        let line = format!(r#"flyte:admissions_total{{outcome="patched",manager="{manager}"}} 1"#);
        assert!(counted.contains(&line), "{counted:?}");
    }
    assert_eq!(
        lines(&metrics, "admission_duration_seconds_count{outcome=\"patched\""),
        [r#"flyte:admission_duration_seconds_count{outcome="patched"} 1"#]
    );
}

#[test]
fn a_manager_that_configuration_describes_is_counted_by_its_name() {
    let metrics = Metrics::new("");
    assert!(lines(&metrics, "Confidant").is_empty());
    metrics.admission(Outcome::Patched, &["Confidant"], Duration::ZERO);
    assert_eq!(
        lines(&metrics, r#"outcome="patched",manager="Confidant""#),
        [r#"admissions_total{outcome="patched",manager="Confidant"} 1"#]
    );
}

#[test]
fn the_expiry_of_a_certificate_is_told_as_long_as_there_is_one() {
    let metrics = Metrics::new("flyte:");
    assert!(counted(&metrics, "certificate_expiry").is_empty());
    metrics.certificate_expires(CertificateRole::Serving, Some(1_800_000_000));
    metrics.certificate_expires(CertificateRole::NextCa, Some(1_900_000_000));
    metrics.certificate_expires(CertificateRole::NextCa, None);
    assert_eq!(
        counted(&metrics, "certificate_expiry"),
        [r#"flyte:certificate_expiry_timestamp_seconds{certificate="serving"} 1800000000.0"#]
    );
}

#[test]
fn refusals_are_there_before_the_first_one_so_that_it_counts_as_a_rise() {
    let metrics = Metrics::new("flyte:");
    assert_eq!(counted(&metrics, "refusals_total").len(), RefusalReason::ALL.len());
    metrics.refused(RefusalReason::AccessPolicy);
    let line = r#"flyte:refusals_total{reason="access_policy"} 1"#.to_owned();
    assert!(counted(&metrics, "refusals_total").contains(&line));
}

#[test]
fn a_replica_that_takes_no_part_in_an_election_has_no_leader_series() {
    let metrics = Metrics::new("flyte:");
    assert!(counted(&metrics, "leader").is_empty());
    let states = [
        (Leadership::Leading, "1.0"),
        (Leadership::Following { leader: "other".to_owned() }, "0.0"),
        (Leadership::Failing("forbidden".to_owned()), "0.0"),
    ];
    for (state, expected) in states {
        metrics.leadership(&state);
        assert_eq!(counted(&metrics, "leader"), [format!("flyte:leader {expected}")]);
    }
    assert_eq!(counted(&metrics, "lease_failures_total"), ["flyte:lease_failures_total 1"]);
}

#[test]
fn a_registration_is_told_by_its_state_its_failures_and_its_repairs() {
    let metrics = Metrics::new("flyte:");
    assert!(counted(&metrics, "registered").is_empty(), "it may be somebody else's task");
    metrics.registration(&RegistrationState::Pending { last_error: None });
    assert_eq!(counted(&metrics, "registered"), ["flyte:registered 0.0"]);
    metrics.registration(&RegistrationState::Registered { ca_bundle: None });
    assert_eq!(counted(&metrics, "registered"), ["flyte:registered 1.0"]);
    metrics.registration_failed();
    metrics.registration_repaired();
    metrics.registration_succeeded(std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_400));
    assert_eq!(counted(&metrics, "registration_failures_total"), ["flyte:registration_failures_total 1"]);
    assert_eq!(counted(&metrics, "registration_repairs_total"), ["flyte:registration_repairs_total 1"]);
    let success = "registration_last_success_timestamp_seconds";
    assert_eq!(counted(&metrics, success), [format!("flyte:{success} 1800000000.0")]);
}

#[test]
fn events_are_told_apart_by_what_became_of_them() {
    let metrics = Metrics::new("flyte:");
    for fate in EventFate::ALL {
        metrics.event(fate);
    }
    for kind in ["created", "repeated"] {
        let line = format!(r#"flyte:events_total{{kind="{kind}"}} 1"#);
        assert!(counted(&metrics, "events_total").contains(&line));
    }
    let dropped = counted(&metrics, "events_dropped_total");
    assert_eq!(dropped.len(), EventFate::ALL.len() - 2, "{dropped:?}");
    assert!(dropped.iter().all(|line| line.ends_with(" 1")), "{dropped:?}");
}

#[test]
fn the_process_is_told_without_a_prefix() {
    let metrics = Metrics::new("flyte:");
    let value = |name: &str| {
        let text = metrics.text();
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_else(|| panic!("no {name}"))
    };
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_cpu_seconds_total") >= 0.0);
    assert!((now - value("process_start_time_seconds")).abs() < 3600.0);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
}

#[test]
fn the_version_is_there() {
    assert_eq!(
        lines(&Metrics::new("flyte:"), "flyte:build_info{"),
        [format!("flyte:build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))]
    );
}

#[test]
fn others_register_under_the_same_prefix() {
    let metrics = Metrics::new("flyte:");
    let counter = Counter::<u64, AtomicU64>::default();
    metrics.register("cache_hits", "Values found in the cache", counter.clone());
    counter.inc();
    assert_eq!(lines(&metrics, "flyte:cache_hits_total"), ["flyte:cache_hits_total 1"]);
}

/// The samples of one name.
fn counted(metrics: &Metrics, name: &str) -> Vec<String> {
    lines(metrics, &format!("flyte:{name}")).into_iter().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn calls_to_stores_are_counted_by_scope_and_outcome_and_timed() {
    let metrics = Metrics::new("flyte:");
    metrics.store_call("AWS", Scope::Project, CallOutcome::Found, Duration::from_millis(20));
    metrics.store_call(
        "aws",
        Scope::Organization,
        CallOutcome::Failed(FailureClass::NotFound),
        Duration::from_millis(30),
    );
    let calls = counted(&metrics, "store_calls_total");
    for (scope, outcome) in [("project", "found"), ("organization", "not_found")] {
        let line = format!(r#"flyte:store_calls_total{{store="AWS",scope="{scope}",outcome="{outcome}"}} 1"#);
        assert!(calls.contains(&line), "{calls:?}");
    }
    assert_eq!(
        counted(&metrics, "store_call_duration_seconds_count"),
        [r#"flyte:store_call_duration_seconds_count{store="AWS"} 2"#]
    );
}

#[test]
fn an_unknown_store_makes_no_label_of_its_own() {
    let metrics = Metrics::new("flyte:");
    metrics.store_call("something-odd", Scope::Domain, CallOutcome::Failed(FailureClass::Late), Duration::ZERO);
    metrics.store_retried("something-odd");
    metrics.stale_served("something-odd");
    assert!(lines(&metrics, "something-odd").is_empty());
    assert_eq!(counted(&metrics, "store_retries_total"), [r#"flyte:store_retries_total{store="other"} 1"#]);
    assert_eq!(counted(&metrics, "store_stale_served_total"), [r#"flyte:store_stale_served_total{store="other"} 1"#]);
}

#[test]
fn the_cache_has_events_and_a_size() {
    let metrics = Metrics::new("flyte:");
    metrics.cache_event("hit");
    metrics.cache_event("hit");
    metrics.cache_size(3, 4096);
    assert_eq!(counted(&metrics, "cache_events_total"), [r#"flyte:cache_events_total{event="hit"} 2"#]);
    assert_eq!(counted(&metrics, "cache_entries "), ["flyte:cache_entries 3"]);
    assert_eq!(counted(&metrics, "cache_size_bytes "), ["flyte:cache_size_bytes 4096"]);
}

#[test]
fn breaches_say_whether_they_were_served() {
    let metrics = Metrics::new("flyte:");
    metrics.access_breach("namespace", true);
    metrics.access_breach("namespace", false);
    let breaches = counted(&metrics, "access_policy_breaches_total");
    for mode in ["enforced", "audited"] {
        let line = format!(r#"flyte:access_policy_breaches_total{{rule="namespace",mode="{mode}"}} 1"#);
        assert!(breaches.contains(&line), "{breaches:?}");
    }
}

#[test]
fn mirrors_and_invalidations_are_counted() {
    let metrics = Metrics::new("flyte:");
    metrics.mirror_write("create");
    metrics.mirror_failed("quota");
    metrics.invalidation("dropped");
    assert_eq!(counted(&metrics, "mirror_writes_total"), [r#"flyte:mirror_writes_total{kind="create"} 1"#]);
    assert_eq!(counted(&metrics, "mirror_failures_total"), [r#"flyte:mirror_failures_total{reason="quota"} 1"#]);
    assert_eq!(
        counted(&metrics, "cache_invalidations_total"),
        [r#"flyte:cache_invalidations_total{outcome="dropped"} 1"#]
    );
}

#[test]
fn whether_mirrors_are_collected_is_no_number_where_another_replica_does() {
    let metrics = Metrics::new("flyte:");
    for (state, expected) in [(None, "NaN"), (Some(true), "1.0"), (Some(false), "0.0"), (None, "NaN")] {
        metrics.mirror_collection(state);
        assert_eq!(counted(&metrics, "mirror_collection"), [format!("flyte:mirror_collection {expected}")]);
    }
}
