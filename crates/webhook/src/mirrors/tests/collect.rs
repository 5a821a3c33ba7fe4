use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// A pod that refers to the mirror.
fn pod(phase: &str) -> Value {
    let reference = json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": name(), "key": VALUE_KEY}}});
    json!({"spec": {"containers": [{"name": "c", "env": [reference]}]}, "status": {"phase": phase}})
}

/// A bed with one mirror that was last needed so long ago.
async fn bed_with_mirror_of(age: Duration) -> Bed {
    let bed = Bed::new("v");
    bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
    tokio::time::advance(age).await;
    bed.writes.taken();
    bed.requests();
    bed
}

async fn sweep(collector: &mut Collector) -> (usize, usize, usize) {
    let Swept { condemned, removed, failed, .. } = collector.sweep().await.unwrap();
    (condemned, removed, failed)
}

#[tokio::test(start_paused = true)]
async fn a_mirror_that_nobody_needed_is_condemned_and_removed_after_the_grace() {
    let bed = bed_with_mirror_of(WEEK).await;
    let mut collector = Collector::new(bed.replica());
    assert_eq!(sweep(&mut collector).await, (1, 0, 0));
    assert!(bed.has(CONDEMNED));
    assert_eq!(sweep(&mut collector).await, (0, 0, 0));
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(sweep(&mut collector).await, (0, 1, 0));
    assert_eq!(bed.mirror(), None);
    assert_eq!(bed.writes.taken(), [Write::Condemned, Write::Removed]);
}

#[tokio::test(start_paused = true)]
async fn a_mirror_stays_while_it_is_young_or_a_live_pod_refers_to_it() {
    for (age, phase, stays) in [
        (WEEK - MINUTE, None, true),
        (WEEK, Some("Pending"), true),
        (WEEK, Some("Running"), true),
        (WEEK, Some("Succeeded"), false),
        (WEEK, Some("Failed"), false),
        (WEEK, None, false),
    ] {
        let bed = bed_with_mirror_of(age).await;
        if let Some(phase) = phase {
            bed.server.cluster().put_in("a", "pods", "p", pod(phase));
        }
        let (condemned, ..) = sweep(&mut Collector::new(bed.replica())).await;
        assert_eq!(condemned == 0, stays, "{age:?} {phase:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mirror_whose_source_is_gone_goes_early_unless_a_live_pod_refers_to_it() {
    for (phase, expected) in [(Some("Running"), 0), (None, 1)] {
        let bed = bed_with_mirror_of(MINUTE).await;
        if let Some(phase) = phase {
            bed.server.cluster().put_in("a", "pods", "p", pod(phase));
        }
        bed.store.fail(FreshError::Gone);
        assert_eq!(sweep(&mut Collector::new(bed.replica())).await, (expected, 0, 0), "{phase:?}");
    }
    for error in [FreshError::Changed, FreshError::Failed("the store is down".to_owned())] {
        let bed = bed_with_mirror_of(MINUTE).await;
        bed.store.fail(error.clone());
        let (condemned, ..) = sweep(&mut Collector::new(bed.replica())).await;
        assert_eq!(condemned, 0, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_admission_that_needs_a_condemned_mirror_wins_even_against_a_leader_that_was_paused() {
    let bed = bed_with_mirror_of(WEEK).await;
    let mut leader = Collector::new(bed.replica());
    sweep(&mut leader).await;
    tokio::time::advance(2 * MINUTE).await;
    // Just before the deletion arrives, an admission on another replica pardons the mirror.
    let admission = bed.replica();
    bed.server.meanwhile("delete", {
        let mut pardoned = bed.mirror().unwrap();
        move |cluster| {
            pardoned["metadata"]["annotations"].as_object_mut().unwrap().remove(CONDEMNED);
            cluster.put_in("a", "secrets", &name(), pardoned);
        }
    });
    assert_eq!(sweep(&mut leader).await, (0, 0, 0));
    assert!(bed.mirror().is_some());
    admission.keep("a", &wanted("v"), soon()).await.unwrap();
    assert!(bed.mirror().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_admission_saw_the_mirror_before_the_sentence_is_seen_before_the_removal() {
    let bed = bed_with_mirror_of(WEEK).await;
    let mut leader = Collector::new(bed.replica());
    sweep(&mut leader).await;
    tokio::time::advance(2 * MINUTE).await;
    bed.server.cluster().put_in("a", "pods", "p", pod("Pending"));
    assert_eq!(sweep(&mut leader).await, (0, 0, 0));
    assert!(bed.mirror().is_some());
    // When the pod has ended, the sentence still stands.
    bed.server.cluster().put_in("a", "pods", "p", pod("Failed"));
    assert_eq!(sweep(&mut leader).await, (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_measures_the_grace_by_its_own_clock() {
    let bed = bed_with_mirror_of(WEEK).await;
    sweep(&mut Collector::new(bed.replica())).await;
    tokio::time::advance(WEEK).await;
    let mut next = Collector::new(bed.replica());
    assert_eq!(sweep(&mut next).await, (0, 0, 0));
    tokio::time::advance(2 * MINUTE).await;
    assert_eq!(sweep(&mut next).await, (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sentence_that_was_lifted_and_passed_again_begins_anew() {
    let bed = bed_with_mirror_of(WEEK).await;
    let mut leader = Collector::new(bed.replica());
    sweep(&mut leader).await;
    bed.replica().keep("a", &wanted("v"), soon()).await.unwrap();
    tokio::time::advance(WEEK).await;
    assert_eq!(sweep(&mut leader).await, (1, 0, 0));
    assert_eq!(sweep(&mut leader).await, (0, 0, 0));
    assert!(bed.mirror().is_some());
}

#[tokio::test(start_paused = true)]
async fn mirrors_are_brought_in_step_with_their_source_and_are_not_needed_for_that() {
    let bed = bed_with_mirror_of(MINUTE).await;
    let needed = |bed: &Bed| bed.mirror().unwrap()["metadata"]["annotations"][NEEDED].clone();
    let before = needed(&bed);
    bed.store.set("w");
    sweep(&mut Collector::new(bed.replica())).await;
    assert_eq!(bed.value().unwrap(), "w");
    assert_eq!(needed(&bed), before);
    assert_eq!(bed.writes.taken(), [Write::Marked, Write::Updated]);
    sweep(&mut Collector::new(bed.replica())).await;
    assert_eq!(bed.writes.taken(), []);
}

#[tokio::test(start_paused = true)]
async fn secrets_that_only_look_like_mirrors_are_not_touched() {
    let bed = bed_with_mirror_of(WEEK * 3).await;
    let mut fake = bed.mirror().unwrap();
    bed.server.cluster().remove_in("a", "secrets", &name());
    fake["metadata"]["annotations"]["secrets.flyte.org/mirrors"] = "embedded/x".into();
    bed.server.cluster().put_in("a", "secrets", &name(), fake);
    assert_eq!(Collector::new(bed.replica()).sweep().await.unwrap(), Swept::default());
}

#[tokio::test(start_paused = true)]
async fn without_the_verbs_mirrors_work_and_stay_and_the_state_says_which_rule_is_missing() {
    for (verb, rule) in [
        ("list secrets", r#"{apiGroups: [""], resources: ["secrets"], verbs: ["list"]}"#),
        ("delete secrets", r#"{apiGroups: [""], resources: ["secrets"], verbs: ["delete"]}"#),
        ("list pods", r#"{apiGroups: [""], resources: ["pods"], verbs: ["list"]}"#),
    ] {
        let bed = bed_with_mirror_of(WEEK).await;
        bed.server.cluster().forbidden.insert(verb);
        let replica = bed.replica();
        let state = replica.collection();
        assert_eq!(*state.borrow(), CollectionState::Unknown);
        let mut collector = Collector::new(replica.clone());
        assert_eq!(collector.sweep().await.unwrap(), Swept::default());
        assert_eq!(*state.borrow(), CollectionState::Stays { missing: vec![rule.to_owned()] });
        assert_eq!(bed.writes.taken(), []);
        replica.keep("a", &wanted("v"), soon()).await.unwrap();
        bed.server.cluster().forbidden.clear();
        collector.sweep().await.unwrap();
        assert_eq!(*state.borrow(), CollectionState::Collecting);
    }
}

#[tokio::test(start_paused = true)]
async fn verbs_that_are_missing_in_practice_alone_are_told_too() {
    let bed = bed_with_mirror_of(WEEK).await;
    bed.server.cluster().forbidden.extend(["create selfsubjectaccessreviews", "list pods"]);
    let replica = bed.replica();
    assert_eq!(sweep(&mut Collector::new(replica.clone())).await, (0, 0, 1));
    let CollectionState::Stays { missing } = replica.collection().borrow().clone() else { panic!("it collects") };
    assert!(missing[0].contains("pods"), "{missing:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_reads_so_many_sources_and_the_next_one_goes_on_with_the_rest() {
    let bed = Bed::new("v");
    let settings = MirrorSettings { sources_per_sweep: 2, ..MirrorSettings::default() };
    let replica = bed.replica_with(settings);
    for id in 0..5 {
        let source = MirrorSource::Embedded { id: id.to_string() };
        for namespace in ["a", "b"] {
            let wanted = WantedMirror {
                name: mirror_name(namespace, &source, Form::Env),
                source: source.clone(),
                ..wanted("v")
            };
            replica.keep(namespace, &wanted, soon()).await.unwrap();
        }
    }
    bed.store.fail(FreshError::Gone);
    let mut collector = Collector::new(replica);
    for (sweeps, condemned) in [(1, 4), (2, 4), (3, 2), (4, 0)] {
        assert_eq!(sweep(&mut collector).await.0, condemned, "{sweeps}");
        assert_eq!(bed.store.reads(), 2 * sweeps);
    }
}

#[tokio::test(start_paused = true)]
async fn one_namespace_that_fails_does_not_keep_the_others() {
    let bed = bed_with_mirror_of(WEEK).await;
    bed.server.cluster().failures.insert("update", (500, "InternalError", "etcd"));
    assert_eq!(sweep(&mut Collector::new(bed.replica())).await, (0, 0, 1));
    bed.server.cluster().down = true;
    assert!(Collector::new(bed.replica()).sweep().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_collector_sweeps_again_and_again() {
    let bed = bed_with_mirror_of(WEEK).await;
    let work = tokio::spawn(Collector::new(bed.replica()).run());
    tokio::time::sleep(Duration::from_secs(31 * 60)).await;
    assert_eq!(bed.mirror(), None);
    work.abort();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_all_the_time_does_not_put_off_a_removal() {
    let bed = bed_with_mirror_of(WEEK).await;
    let mut collector = Collector::new(bed.replica());
    for (value, expected) in [("w", (1, 0, 0)), ("x", (0, 0, 0)), ("y", (0, 1, 0))] {
        bed.store.set(value);
        assert_eq!(sweep(&mut collector).await, expected, "{value}");
        tokio::time::advance(MINUTE).await;
    }
}
