//! What is counted, as Prometheus reads it.

use flyte_secrets_stores::FailureClass;

use super::*;

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
fn an_unknown_manager_makes_no_label_of_its_own() {
    let metrics = Metrics::new("");
    metrics.admission(Outcome::Patched, &["something-odd"], Duration::ZERO);
    assert!(lines(&metrics, "something-odd").is_empty());
    assert_eq!(
        lines(&metrics, r#"outcome="patched",manager="custom""#),
        [r#"admissions_total{outcome="patched",manager="custom"} 1"#]
    );
}

#[test]
fn the_expiry_of_a_certificate_is_no_number_until_it_is_known() {
    let metrics = Metrics::new("flyte:");
    let sample = "\nflyte:certificate_expiry_timestamp_seconds ";
    assert!(metrics.text().contains(&format!("{sample}NaN\n")));
    metrics.certificate_expires(1_800_000_000);
    assert!(metrics.text().contains(&format!("{sample}1800000000.0\n")));
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
fn calls_to_stores_are_counted_by_outcome_and_timed() {
    let metrics = Metrics::new("flyte:");
    metrics.store_call("AWS", Ok(()), Duration::from_millis(20));
    metrics.store_call("aws", Err(FailureClass::NotFound), Duration::from_millis(30));
    let calls = counted(&metrics, "store_calls_total");
    for outcome in ["found", "not_found"] {
        let line = format!(r#"flyte:store_calls_total{{store="AWS",outcome="{outcome}"}} 1"#);
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
    metrics.store_call("something-odd", Err(FailureClass::Late), Duration::ZERO);
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
