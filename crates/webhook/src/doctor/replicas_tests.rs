use super::super::check::Level;
use super::super::test_installation::{ids, installation};
use super::*;

fn pod(name: &str, ready: &str, image: &str, restarts: u64) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "hook"}},
        "spec": {"containers": [{"name": "webhook", "image": image, "env": [{"name": "A", "value": "planted"}]}]},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "message": "containers with unready status: [webhook]"}],
            "containerStatuses": [{"restartCount": restarts}],
        },
    })
}

fn budget(selector: Value) -> Value {
    json!({"spec": {"selector": selector}})
}

fn judged(pods: Value, budgets: Value) -> Vec<Finding> {
    let facts = Facts::Pods(serde_json::from_value(pods).unwrap(), Ok(serde_json::from_value(budgets).unwrap()));
    judge(&installation(), &Ok(facts))
}

fn matching() -> Value {
    json!([budget(json!({"matchLabels": {"app": "hook"}}))])
}

#[test]
fn two_ready_pods_of_one_image_with_a_budget_are_fine() {
    let findings = judged(json!([pod("a", "True", "i:1", 0), pod("b", "True", "i:1", 5)]), matching());
    assert_eq!(ids(&findings), [(Id::ReplicasReady, Level::Ok)]);
}

#[test]
fn pods_that_are_not_ready_are_named() {
    let (up, down) = (pod("a", "True", "i:1", 0), pod("b", "False", "i:1", 0));
    let some = judged(json!([up, down.clone()]), matching());
    assert_eq!(ids(&some), [(Id::ReplicasNotReady, Level::Warning)]);
    assert!(some[0].what.contains("1 of 2") && some[0].what.contains("b (containers"), "{}", some[0].what);
    let all = judged(json!([down.clone(), down]), matching());
    assert_eq!(ids(&all), [(Id::ReplicasNotReady, Level::Error)]);
    assert_eq!(ids(&judged(json!([]), json!([]))), [(Id::ReplicasNone, Level::Error)]);
}

#[test]
fn a_pod_that_is_being_removed_does_not_count() {
    let mut leaving = pod("c", "False", "i:0", 0);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let findings = judged(json!([pod("a", "True", "i:1", 0), pod("b", "True", "i:1", 0), leaving]), matching());
    assert_eq!(ids(&findings), [(Id::ReplicasReady, Level::Ok)]);
}

#[test]
fn different_images_and_restarts_are_warned_of() {
    let findings = judged(json!([pod("a", "True", "i:1", 0), pod("b", "True", "i:2", 6)]), matching());
    let expected =
        [(Id::ReplicasReady, Level::Ok), (Id::ReplicasDiffer, Level::Warning), (Id::ReplicasRestart, Level::Warning)];
    assert_eq!(ids(&findings), expected);
    assert_eq!(findings[2].place, "pods flyte/b");
}

#[test]
fn one_replica_and_no_budget_are_worth_knowing() {
    let one = judged(json!([pod("a", "True", "i:1", 0)]), json!([]));
    assert_eq!(ids(&one), [(Id::ReplicasReady, Level::Ok), (Id::ReplicasSingle, Level::Info)]);
    let two = json!([pod("a", "True", "i:1", 0), pod("b", "True", "i:1", 0)]);
    for budgets in [json!([]), json!([budget(json!({"matchLabels": {"app": "other"}}))]), json!([{"spec": {}}])] {
        let findings = judged(two.clone(), budgets);
        assert_eq!(ids(&findings), [(Id::ReplicasReady, Level::Ok), (Id::ReplicasNoBudget, Level::Info)]);
    }
}

#[test]
fn a_service_that_is_missing_is_an_error_and_one_without_a_selector_is_not() {
    let judged = |facts| ids(&judge(&installation(), &Ok(facts)));
    assert_eq!(judged(Facts::NoSelector(false)), [(Id::ReplicasNone, Level::Error)]);
    assert_eq!(judged(Facts::NoSelector(true)), [(Id::ReplicasUnknown, Level::Info)]);
    assert_eq!(judged(Facts::Elsewhere), [(Id::ReplicasUnknown, Level::Info)]);
}
