use std::time::Duration;

use super::super::desired::FIELD_MANAGER;
use super::super::endpoint::Endpoint;
use super::super::tests_support::ca;
use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn settings() -> RegistrationSettings {
    let endpoint = Endpoint::Service { namespace: "flyte".to_owned(), name: "flyte-pod-webhook".to_owned(), port: 443 };
    RegistrationSettings::new("flyte-pod-webhook", endpoint)
}

fn url() -> RegistrationSettings {
    RegistrationSettings { endpoint: Endpoint::url("https://hook").unwrap(), ..settings() }
}

fn cert_manager() -> RegistrationSettings {
    RegistrationSettings { cert_manager_certificate: Some("flyte/webhook".to_owned()), ..settings() }
}

fn planned(existing: &Value, settings: &RegistrationSettings, wanted: Option<&str>) -> Plan {
    plan(existing, settings, wanted, &mut Adopted::new(DAY), Moment::now())
}

/// A configuration as our apply leaves it.
fn standing(settings: &RegistrationSettings, bundle: Option<&str>, inject: bool) -> Value {
    let mut configuration = desired(settings, bundle, inject);
    configuration["metadata"]["resourceVersion"] = "7".into();
    configuration
}

/// Who has set the bundle.
fn owned_by(mut configuration: Value, managers: &[&str]) -> Value {
    let key = format!("k:{{\"name\":\"{WEBHOOK_NAME}\"}}");
    let entries = managers.iter().map(|manager| {
        let operation = if *manager == FIELD_MANAGER { "Apply" } else { "Update" };
        json!({
            "manager": manager, "operation": operation,
            "fieldsV1": {"f:webhooks": {&key: {"f:clientConfig": {"f:caBundle": {}}}}},
        })
    });
    configuration["metadata"]["managedFields"] = entries.collect();
    configuration
}

fn bundle_of(plan: &Plan) -> Option<String> {
    registered(&plan.document)
}

fn asks(plan: &Plan) -> bool {
    !plan.document["metadata"]["annotations"][INJECT_CA_FROM].is_null()
}

#[test]
fn what_stands_as_it_should_is_not_written() {
    let a = ca("a");
    let plan = planned(&standing(&settings(), Some(&a), false), &settings(), Some(&a));
    assert_eq!(plan.fields, Vec::<String>::new());
    assert_eq!(plan.removal, None);
}

#[test]
fn another_replicas_ca_stays_beside_ours() {
    let [a, b] = ["a", "b"].map(ca);
    let plan = planned(&standing(&settings(), Some(&a), false), &settings(), Some(&b));
    assert_eq!(plan.fields, ["clientConfig.caBundle"]);
    assert_eq!(bundle_of(&plan), Some(format!("{b}{a}")));
}

#[test]
fn from_a_service_to_a_url_one_patch_puts_in_the_one_for_the_other_with_the_bundle() {
    let [a, b] = ["a", "b"].map(ca);
    let plan = planned(&standing(&settings(), Some(&a), false), &url(), Some(&b));
    assert_eq!(
        plan.removal.unwrap(),
        json!({
            "metadata": {"resourceVersion": "7"},
            "webhooks": [{
                "name": WEBHOOK_NAME,
                "clientConfig": {
                    "url": "https://hook/mutate--v1-pod", "service": null,
                    "caBundle": BASE64.encode(format!("{b}{a}").as_bytes()),
                }
            }]
        })
    );
    assert!(plan.fields.contains(&"clientConfig.service".to_owned()), "{:?}", plan.fields);
}

#[test]
fn a_public_issuer_needs_the_bundle_away() {
    let plan = planned(&standing(&settings(), Some(&ca("a")), false), &settings(), None);
    assert_eq!(plan.removal.unwrap()["webhooks"][0]["clientConfig"]["caBundle"], Value::Null);
    assert_eq!(plan.fields, ["clientConfig.caBundle"]);
}

#[test]
fn owners_that_flyte_left_are_taken_away_and_others_stay() {
    let a = ca("a");
    let owner = |kind: &str, uid: &str| json!({"apiVersion": "v1", "kind": kind, "name": "x", "uid": uid});
    let mut there = standing(&settings(), Some(&a), false);
    there["metadata"]["ownerReferences"] =
        json!([owner("Pod", "1"), owner("ReplicaSet", "2"), owner("ClusterRole", "3"), owner("Namespace", "4")]);
    let plan = planned(&there, &settings(), Some(&a));
    let deleted = |uid: &str| json!({"$patch": "delete", "uid": uid});
    let metadata = json!({"ownerReferences": [deleted("1"), deleted("2")], "resourceVersion": "7"});
    assert_eq!(plan.removal.unwrap(), json!({"metadata": metadata}));
    assert_eq!(plan.fields, ["metadata.ownerReferences"]);
}

#[test]
fn cert_manager_is_asked_at_once_where_no_other_ca_stands() {
    let a = ca("a");
    for there in [json!({}), standing(&settings(), Some(&a), false)] {
        let plan = planned(&there, &cert_manager(), Some(&a));
        assert!(asks(&plan));
        assert_eq!(bundle_of(&plan), Some(a.clone()), "until cert-manager puts in its own");
    }
}

#[test]
fn cert_manager_is_not_asked_while_replicas_may_serve_certificates_of_another_ca() {
    let [old, new] = ["old", "new"].map(ca);
    let there = standing(&settings(), Some(&old), false);
    let (start, mut adopted) = (Moment::now(), Adopted::new(DAY));
    let first = plan(&there, &cert_manager(), Some(&new), &mut adopted, start);
    assert!(!asks(&first), "its CA would take the place of all others");
    assert_eq!(bundle_of(&first), Some(format!("{new}{old}")));

    let later = Moment { instant: start.instant + DAY, ..start };
    let second = plan(&there, &cert_manager(), Some(&new), &mut adopted, later);
    assert!(asks(&second));
    assert_eq!(bundle_of(&second), Some(new));
}

#[test]
fn what_cert_manager_has_put_in_is_left_to_it_even_if_we_want_another() {
    let [a, b] = ["a", "b"].map(ca);
    let there = owned_by(standing(&cert_manager(), Some(&b), true), &["cainjector"]);
    let plan = planned(&there, &cert_manager(), Some(&a));
    assert_eq!(plan.fields, Vec::<String>::new());
    assert_eq!(bundle_of(&plan), None, "it is not ours");
}

#[test]
fn a_bundle_that_only_we_own_is_not_given_up_because_that_would_remove_it() {
    let a = ca("a");
    let there = standing(&cert_manager(), Some(&a), true);
    let ours = planned(&owned_by(there.clone(), &[FIELD_MANAGER]), &cert_manager(), Some(&a));
    assert_eq!(bundle_of(&ours), Some(a.clone()));
    assert_eq!(ours.fields, Vec::<String>::new());
    let shared = planned(&owned_by(there, &[FIELD_MANAGER, "cainjector"]), &cert_manager(), Some(&a));
    assert_eq!(bundle_of(&shared), None);
    assert_eq!(shared.fields.len(), 1, "we give up our part of it: {:?}", shared.fields);
    assert_eq!(shared.removal, None);
}

#[test]
fn a_bundle_that_is_not_there_is_put_in_though_cert_manager_is_asked() {
    let a = ca("a");
    let plan = planned(&standing(&cert_manager(), None, true), &cert_manager(), Some(&a));
    assert_eq!(bundle_of(&plan), Some(a));
}

#[test]
fn an_issuer_that_only_cert_manager_knows_leaves_the_bundle_as_it_is() {
    let a = ca("a");
    let there = owned_by(standing(&settings(), Some(&a), false), &[FIELD_MANAGER]);
    let plan = planned(&there, &cert_manager(), None);
    assert!(asks(&plan));
    assert_eq!(bundle_of(&plan), Some(a));
    assert_eq!(plan.removal, None);
}

#[test]
fn back_from_cert_manager_our_ca_comes_in_and_the_annotation_goes_at_once() {
    let [a, b] = ["a", "b"].map(ca);
    let mut there = owned_by(standing(&cert_manager(), Some(&b), true), &[FIELD_MANAGER]);
    there["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"] =
        json!({"f:annotations": {format!("f:{INJECT_CA_FROM}"): {}}});
    let plan = planned(&there, &settings(), Some(&a));
    assert!(!asks(&plan));
    assert_eq!(bundle_of(&plan), Some(format!("{a}{b}")));
    assert_eq!(plan.fields, ["clientConfig.caBundle", "metadata.annotations"]);
}

#[test]
fn what_is_left_to_another_replica_stays_though_our_ca_is_written() {
    let [a, b] = ["a", "b"].map(ca);
    let newer = RegistrationSettings {
        timeout: Duration::from_secs(7),
        namespace_selector: Some(json!({"matchLabels": {"x": "y"}})),
        ..url()
    };
    let there = standing(&newer, Some(&b), false);
    let mut plan = planned(&there, &settings(), Some(&a));
    assert_eq!(
        plan.fields,
        ["clientConfig.caBundle", "clientConfig.service", "clientConfig.url", "timeoutSeconds"],
        "the selector is nobody's in this test"
    );
    let left = ["clientConfig.service", "clientConfig.url", "timeoutSeconds", "namespaceSelector"].map(str::to_owned);
    plan.leave(&there, &BTreeSet::from(left));
    assert_eq!(plan.fields, ["clientConfig.caBundle"]);
    assert_eq!(plan.removal, None);
    let mut expected = there["webhooks"][0].clone();
    expected["clientConfig"]["caBundle"] = BASE64.encode(format!("{a}{b}").as_bytes()).into();
    expected["matchConditions"] = plan.document["webhooks"][0]["matchConditions"].clone();
    assert_eq!(plan.document["webhooks"][0], expected);
}
