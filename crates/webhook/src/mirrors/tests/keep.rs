use super::*;
use crate::kubernetes::ApiErrorKind;

#[tokio::test(start_paused = true)]
async fn a_missing_mirror_is_created_with_the_value_at_hand() {
    let bed = Bed::new("v");
    bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
    assert_eq!(bed.value().unwrap(), "v");
    assert_eq!(bed.requests(), ["get secrets", "create secrets"]);
    assert_eq!(bed.store.reads(), 0);
    let mirror = bed.mirror().unwrap();
    assert_eq!(mirror["type"], "Opaque");
    assert_eq!(mirror["metadata"]["labels"]["app.kubernetes.io/managed-by"], "flyte-secrets");
    assert_eq!(mirror["metadata"]["annotations"]["secrets.flyte.org/mirrors"], source().to_string());
    assert_eq!(mirror["metadata"]["annotations"]["secrets.flyte.org/fetched-at"], "2023-11-14T22:13:20.000000000Z");
}

#[tokio::test(start_paused = true)]
async fn a_manifest_is_what_would_be_created() {
    let bed = Bed::new("v");
    let replica = bed.replica();
    let manifest = wanted("v").manifest("a", replica.keeper.clock.now());
    replica.keep("a", &wanted("v"), soon()).await.unwrap();
    let mut created = bed.mirror().unwrap();
    for assigned in ["uid", "resourceVersion"] {
        created["metadata"].as_object_mut().unwrap().shift_remove(assigned);
    }
    assert_eq!(serde_json::to_value(&manifest).unwrap(), created);
}

#[tokio::test(start_paused = true)]
async fn a_mirror_with_the_right_value_costs_one_read_and_no_write() {
    let bed = Bed::new("v");
    for replica in [bed.replica(), bed.replica()] {
        replica.keep("a", &wanted("v"), soon()).await.unwrap();
    }
    assert_eq!(bed.requests(), ["get secrets", "create secrets", "get secrets"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_value_is_marked_read_again_and_written_once_for_all_replicas() {
    let bed = Bed::new("old");
    let (one, other) = (bed.replica(), bed.replica());
    one.keep("a", &wanted("old"), soon()).await.unwrap();
    bed.store.set("new");
    for replica in [&one, &other, &one] {
        replica.keep("a", &wanted("new"), soon()).await.unwrap();
    }
    assert_eq!(bed.value().unwrap(), "new");
    assert!(!bed.has(CHANGING));
    assert_eq!(bed.writes.taken(), [Write::Created, Write::Marked, Write::Updated]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_with_an_old_cache_writes_nothing() {
    let bed = Bed::new("new");
    let (fast, slow) = (bed.replica(), bed.replica());
    fast.keep("a", &wanted("new"), soon()).await.unwrap();
    slow.keep("a", &wanted("old"), soon()).await.unwrap();
    assert_eq!(bed.value().unwrap(), "new");
    assert_eq!(bed.writes.taken(), [Write::Created]);
}

#[tokio::test(start_paused = true)]
async fn an_old_value_never_comes_back_when_the_source_alternates() {
    // The mirror holds A. A replica sees B in the source, and is paused before it writes; the source becomes A again, and
    // an admission on another replica finds that A in the mirror.
    let bed = Bed::new("B");
    let (slow, other) = (bed.replica(), bed.replica());
    slow.keep("a", &wanted("A"), soon()).await.unwrap();
    let mut calls = 0;
    bed.server.cluster().latency = Some(Box::new(move || {
        calls += 1;
        // get, update (the mark), get, update (the value).
        (if calls == 4 { Duration::from_secs(5) } else { Duration::ZERO }, Duration::ZERO)
    }));
    let admission = tokio::spawn({
        let slow = slow.clone();
        async move { slow.keep("a", &wanted("B"), soon()).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(bed.has(CHANGING));
    bed.store.set("A");
    other.keep("a", &wanted("A"), soon()).await.unwrap();
    assert!(!bed.has(CHANGING));
    admission.await.unwrap().unwrap();
    assert_eq!(bed.value().unwrap(), "A");
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_somebody_left_behind_hinders_nobody() {
    let bed = Bed::new("v");
    bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
    let mut mirror = bed.mirror().unwrap();
    mirror["metadata"]["annotations"][CHANGING] = "x".into();
    for (value, writes) in [("v", Write::Renewed), ("w", Write::Updated)] {
        bed.server.cluster().put_in("a", "secrets", &name(), mirror.clone());
        bed.store.set(value);
        bed.writes.taken();
        bed.replica().keep("a", &wanted(value), soon()).await.unwrap();
        assert_eq!(bed.value().unwrap(), value);
        assert!(!bed.has(CHANGING));
        assert_eq!(bed.writes.taken(), [writes]);
    }
}

#[tokio::test(start_paused = true)]
async fn when_it_was_needed_is_written_once_a_day_and_in_step_with_a_short_retention() {
    let day = Duration::from_secs(86_400);
    let hour = Duration::from_secs(3600);
    for (retention, period) in [(day * 30, day), (day * 7, day), (hour * 7, hour)] {
        let bed = Bed::new("v");
        let settings = MirrorSettings { retention, memo: Duration::ZERO, ..MirrorSettings::default() };
        let replica = bed.replica_with(settings);
        for _ in 0..5 {
            replica.keep("a", &wanted("v"), soon()).await.unwrap();
            tokio::time::advance(period / 2).await;
        }
        // Created at 0, renewed at 2/2 and 4/2 of the period.
        assert_eq!(bed.writes.taken(), [Write::Created, Write::Renewed, Write::Renewed], "{retention:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_condemned_mirror_is_pardoned_before_the_pod_is_admitted() {
    let bed = Bed::new("v");
    bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
    let mut mirror = bed.mirror().unwrap();
    mirror["metadata"]["annotations"][CONDEMNED] = "2027-01-15T08:00:00Z".into();
    bed.server.cluster().put_in("a", "secrets", &name(), mirror);
    bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
    assert!(!bed.has(CONDEMNED));
    assert_eq!(bed.writes.taken(), [Write::Created, Write::Renewed]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_ours_is_never_touched() {
    let ours = || {
        let bed = Bed::new("v");
        async move {
            bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
            bed.mirror().unwrap()
        }
    };
    let mut other_source = ours().await;
    other_source["metadata"]["annotations"]["secrets.flyte.org/mirrors"] = "embedded/x".into();
    let mut unlabelled = ours().await;
    unlabelled["metadata"]["labels"] = json!({});
    for object in [json!({"data": {"value": "djI="}}), other_source, unlabelled] {
        let bed = Bed::new("w");
        bed.server.cluster().put_in("a", "secrets", &name(), object);
        let before = bed.mirror();
        let error = bed.replica().keep("a", &wanted("w"), soon()).await.unwrap_err();
        assert!(matches!(error, MirrorError::Taken { .. }), "{error}");
        assert!(error.is_retryable());
        assert_eq!(bed.mirror(), before);
        assert_eq!(bed.requests(), ["get secrets"]);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_overtaken_looks_again() {
    // Somebody creates it between our look and our creation.
    let bed = Bed::new("v");
    bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
    let mirror = bed.mirror().unwrap();
    bed.server.cluster().remove_in("a", "secrets", &name());
    let object = mirror.clone();
    bed.server.meanwhile("create", move |cluster| cluster.put_in("a", "secrets", &name(), object));
    bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
    // Somebody changes it, or removes it, between our look and our update.
    bed.store.set("w");
    bed.server.meanwhile("update", move |cluster| cluster.put_in("a", "secrets", &name(), mirror));
    bed.replica().keep("a", &wanted("w"), soon()).await.unwrap();
    assert_eq!(bed.value().unwrap(), "w");
    bed.store.set("x");
    bed.server.meanwhile("update", |cluster| cluster.remove_in("a", "secrets", &name()));
    bed.replica().keep("a", &wanted("x"), soon()).await.unwrap();
    assert_eq!(bed.value().unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn endless_conflicts_end_with_an_error() {
    let bed = Bed::new("w");
    bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
    bed.requests();
    bed.server.cluster().failures.insert("update", (409, "Conflict", "the object has been modified"));
    let error = bed.replica().keep("a", &wanted("w"), soon()).await.unwrap_err();
    assert!(matches!(error, MirrorError::Contended { .. }), "{error}");
    assert_eq!(bed.requests().len(), 24);
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_has_against_it_is_told() {
    let quota = r#"secrets "x" is forbidden: exceeded quota: q, requested: count/secrets=1, used: count/secrets=9"#;
    let policy = r#"admission webhook "no.example.com" denied the request: no Secrets here"#;
    let too_long = "Secret \"x\" is invalid: data: Too long: may not be more than 1048576 bytes";
    let cases = [
        ((403, "Forbidden", quota), ApiErrorKind::QuotaExceeded, "raise count/secrets"),
        ((403, "Forbidden", policy), ApiErrorKind::Policy, "no Secrets here"),
        ((422, "Invalid", too_long), ApiErrorKind::Rejected { code: 422 }, "Too long"),
        ((500, "InternalError", "etcd"), ApiErrorKind::Rejected { code: 500 }, "etcd"),
        ((404, "NotFound", "namespaces \"a\" not found"), ApiErrorKind::NotFound, "namespaces \"a\""),
    ];
    for (failure, kind, words) in cases {
        let bed = Bed::new("v");
        bed.server.cluster().failures.insert("create", failure);
        let error = bed.replica().keep("a", &wanted("v"), soon()).await.unwrap_err();
        assert!(matches!(&error, MirrorError::Api(error) if error.kind == kind), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_being_removed_gets_nothing_new() {
    let bed = Bed::new("v");
    bed.server.cluster().terminating.insert("a".to_owned());
    let error = bed.replica().keep("a", &wanted("v"), soon()).await.unwrap_err();
    assert!(error.to_string().contains("the namespace is being removed"), "{error}");
    assert_eq!(bed.mirror(), None);
}

#[tokio::test(start_paused = true)]
async fn a_missing_verb_is_named_with_its_rule() {
    for verb in ["get", "create"] {
        let bed = Bed::new("v");
        bed.server.cluster().forbidden.insert(verb);
        let text = bed.replica().keep("a", &wanted("v"), soon()).await.unwrap_err().to_string();
        let rule = format!(r#"{{apiGroups: [""], resources: ["secrets"], verbs: ["{verb}"]}}"#);
        assert!(text.contains(&rule), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn values_that_do_not_fit_are_refused_for_good_before_anything_is_asked() {
    let bed = Bed::new("v");
    let replica = bed.replica();
    let full = WantedMirror { value: SecretValue::binary(vec![b'x'; MAX_VALUE]), ..wanted("") };
    replica.keep("a", &full, soon()).await.unwrap();
    bed.requests();
    let large = WantedMirror { value: SecretValue::binary(vec![b'x'; MAX_VALUE + 1]), ..wanted("") };
    let binary = WantedMirror { value: SecretValue::binary(vec![0xff]), ..wanted("") };
    for wanted in [large, binary] {
        let error = replica.keep("a", &wanted, soon()).await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
    }
    assert!(bed.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_file_may_hold_any_bytes() {
    let bed = Bed::new("v");
    let name = mirror_name("a", &source(), Form::File);
    let value = SecretValue::binary(vec![0, 0xff]);
    let file = WantedMirror { name: name.clone(), form: Form::File, value, ..wanted("") };
    bed.replica().keep("a", &file, soon()).await.unwrap();
    assert_eq!(bed.server.cluster().get_in("a", "secrets", &name).unwrap()["data"][VALUE_KEY], "AP8=");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changed_under_the_admission_refuses_it_and_leaves_the_mirror() {
    for (error, words) in [
        (FreshError::Gone, "it is gone"),
        (FreshError::Changed, "found elsewhere"),
        (FreshError::Failed("the store is down".to_owned()), "the store is down"),
    ] {
        let bed = Bed::new("v");
        bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
        bed.store.fail(error);
        let error = bed.replica().keep("a", &wanted("w"), soon()).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.is_retryable());
        assert_eq!(bed.value().unwrap(), "v");
    }
}

#[tokio::test(start_paused = true)]
async fn an_admission_ends_in_time() {
    let bed = Bed::new("v");
    bed.server.cluster().latency = Some(Box::new(|| (Duration::from_secs(3600), Duration::ZERO)));
    for (patience, expected) in [(5, 5), (60, 15)] {
        let start = Instant::now();
        let error = bed.replica().keep("a", &wanted("v"), start + Duration::from_secs(patience)).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(start.elapsed().as_secs(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_admissions_at_once_share_one_flight() {
    let bed = Bed::new("v");
    let replica = bed.replica();
    let wanted = wanted("v");
    let all = (0..1000).map(|_| replica.keep("a", &wanted, soon()));
    assert!(futures::future::join_all(all).await.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(bed.requests(), ["get secrets", "create secrets"]);
}

#[tokio::test(start_paused = true)]
async fn a_flight_goes_on_when_whoever_began_it_is_gone_and_an_impatient_one_takes_nobody_down() {
    let bed = Bed::new("v");
    bed.server.cluster().latency = Some(Box::new(|| (Duration::from_secs(2), Duration::ZERO)));
    let (replica, wanted) = (bed.replica(), wanted("v"));
    let soonest = Instant::now() + Duration::from_secs(1);
    let (impatient, patient) = tokio::join!(replica.keep("a", &wanted, soonest), replica.keep("a", &wanted, soon()));
    assert!(impatient.is_err());
    patient.unwrap();
    let gone = tokio::time::timeout(Duration::from_secs(1), replica.keep("a", &wanted, soon()));
    let (gone, stays) = tokio::join!(gone, replica.keep("a", &wanted, soon()));
    assert!(gone.is_err());
    stays.unwrap();
}

#[tokio::test(start_paused = true)]
async fn for_a_second_nothing_is_asked_again_about_the_same_read() {
    let bed = Bed::new("v");
    let replica = bed.replica_with(MirrorSettings::default());
    let mut wanted = wanted("v");
    replica.keep("a", &wanted, soon()).await.unwrap();
    bed.requests();
    tokio::time::advance(Duration::from_millis(900)).await;
    replica.keep("a", &wanted, soon()).await.unwrap();
    assert!(bed.requests().is_empty());
    // The same text that was read again is another value: meanwhile somebody may have written what was there in between.
    wanted.fetched += Duration::from_nanos(1);
    replica.keep("a", &wanted, soon()).await.unwrap();
    assert_eq!(bed.requests(), ["get secrets"]);
    tokio::time::advance(Duration::from_millis(1100)).await;
    replica.keep("a", &wanted, soon()).await.unwrap();
    assert_eq!(bed.requests(), ["get secrets"]);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_pods_over_twenty_secrets_and_five_namespaces_cost_a_hundred_writes() {
    let bed = Bed::new("v");
    let replicas = [bed.replica(), bed.replica()];
    for pod in 0..10_000 {
        let namespace = format!("ns-{}", pod % 5);
        let source = MirrorSource::Embedded { id: format!("id-{}", pod / 5 % 20) };
        let name = mirror_name(&namespace, &source, Form::Env);
        let wanted = WantedMirror { name, source, ..wanted("v") };
        replicas[pod / 100 % 2].keep(&namespace, &wanted, soon()).await.unwrap();
    }
    let cluster = bed.server.cluster();
    assert_eq!(cluster.count(&["create"], "secrets"), 100);
    assert_eq!(cluster.count(&["update", "patch", "delete"], "secrets"), 0);
}

#[tokio::test(start_paused = true)]
async fn no_error_shows_a_value() {
    let bed = Bed::new("hunter3");
    bed.replica().keep("a", &wanted("hunter2"), soon()).await.unwrap();
    assert!(!format!("{:?}", wanted("hunter2")).contains("hunter"));
    bed.server.cluster().failures.insert("get", (200, "", "hunter2"));
    bed.server.cluster().failures.insert("update", (500, "InternalError", "no"));
    let error = bed.replica().keep("a", &wanted("hunter2"), soon()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter"), "{error}");
}
