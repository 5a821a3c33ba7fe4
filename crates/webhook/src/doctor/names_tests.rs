use std::time::Duration;

use serde_json::json;

use super::super::check::Level;
use super::super::test_installation::{ids, installation};
use super::*;
use crate::registration::desired;

fn webhook(namespace: &str) -> Value {
    let mut configuration = desired(&installation().registration, None);
    configuration["webhooks"][0]["clientConfig"]["service"]["namespace"] = json!(namespace);
    configuration["webhooks"][0].take()
}

fn written_by(managers: &[&str]) -> Option<Owned> {
    let fields: Vec<Value> = managers
        .iter()
        .map(|manager| json!({"manager": manager, "fieldsV1": {"f:data": {"f:tls.crt": {}}}}))
        .chain([json!({"manager": "labeller", "fieldsV1": {"f:metadata": {}}})])
        .collect();
    serde_json::from_value(json!({"metadata": {"name": "hook", "managedFields": fields}})).unwrap()
}

fn judged(namespace: &str, secret: Option<Owned>) -> Vec<(Id, Level)> {
    let facts = Facts { secret: Ok(secret), leases: Vec::new() };
    ids(&judge(&installation(), Some(&webhook(namespace)), &facts, SystemTime::now()))
}

#[test]
fn a_registration_for_another_namespace_is_of_another_installation() {
    assert_eq!(judged("flyte", None), [(Id::NamesOwn, Level::Ok)]);
    assert_eq!(judged("other", None), [(Id::NamesRegistration, Level::Error)]);
}

#[test]
fn a_secret_that_another_program_writes_too_is_warned_of() {
    for (managers, expected) in [
        (&["flyte-secrets"][..], (Id::NamesOwn, Level::Ok)),
        (&["flyte-secrets", "kubectl-patch"], (Id::NamesOwn, Level::Ok)),
        (&["cert-manager-certificates-issuing"], (Id::NamesOwn, Level::Ok)),
        // Not ours at all: that of Flyte 1, say, which is kept.
        (&["flytepropeller"], (Id::NamesSecret, Level::Info)),
        (&["flyte-secrets", "flyte"], (Id::NamesSecret, Level::Warning)),
    ] {
        assert_eq!(judged("flyte", written_by(managers)), [expected], "{managers:?}");
    }
}

#[test]
fn a_secret_with_our_label_is_ours_whoever_wrote_it_last() {
    let mut secret = written_by(&["flyte"]);
    let labels = &mut secret.as_mut().unwrap().metadata.labels;
    labels.insert(MANAGED_BY.0.to_owned(), "flyte-secrets".to_owned());
    assert_eq!(judged("flyte", secret), [(Id::NamesSecret, Level::Warning)]);
}

#[test]
fn a_lease_tells_who_leads_and_one_that_is_not_renewed_that_nobody_does() {
    let renewed = "2026-01-01T00:00:00.000000Z";
    let lease = |holder: Value| -> Lease {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed});
        serde_json::from_value(json!({"spec": spec})).unwrap()
    };
    let start = SystemTime::from(renewed.parse::<Timestamp>().unwrap());
    let judged = |holder: Value, seconds: u64| {
        let finding = leader(&lease(holder), start + Duration::from_secs(seconds));
        (finding.id, finding.level)
    };
    assert_eq!(judged(json!("one"), 10), (Id::NamesLeader, Level::Info));
    assert_eq!(judged(json!("one"), 30), (Id::NamesLeader, Level::Info));
    assert_eq!(judged(json!("one"), 31), (Id::NamesNoLeader, Level::Warning));
    assert_eq!(judged(json!(""), 0), (Id::NamesNoLeader, Level::Warning));
    assert_eq!(judged(Value::Null, 0), (Id::NamesNoLeader, Level::Warning));
}
