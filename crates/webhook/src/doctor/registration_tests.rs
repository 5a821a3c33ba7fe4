use serde_json::json;

use super::super::check::Level;
use super::super::test_installation::{ids, installation};
use super::*;
use crate::kubernetes::ApiErrorKind;

/// What the API server stores for this installation: what was applied, and its defaults.
fn stored(installation: &Installation) -> Value {
    let mut configuration = desired(&installation.registration, Some("PEM"));
    let webhook = &mut configuration["webhooks"][0];
    webhook["matchPolicy"] = json!("Equivalent");
    webhook["namespaceSelector"] = json!({});
    webhook["rules"][0]["scope"] = json!("*");
    configuration
}

fn judged(installation: &Installation, ours: Value, others: Vec<Value>) -> Vec<Finding> {
    let ours = Some(ours).filter(|ours| !ours.is_null());
    let all = ours.iter().cloned().chain(others).collect();
    judge(installation, &Configurations { ours: Ok(ours), all: Ok(all) })
}

#[test]
fn what_was_applied_is_as_configured_with_the_defaults_of_the_api_server() {
    let findings = judged(&installation(), stored(&installation()), Vec::new());
    assert_eq!(ids(&findings), [(Id::RegistrationAsConfigured, Level::Ok)]);
    assert!(findings[0].what.contains("the Service flyte/hook port 443"), "{}", findings[0].what);
}

#[test]
fn a_registration_that_is_not_there_is_an_error_with_the_way_to_it() {
    let mut emptied = stored(&installation());
    emptied["webhooks"] = json!([]);
    for there in [Value::Null, emptied] {
        let findings = judged(&installation(), there, Vec::new());
        assert_eq!(ids(&findings), [(Id::RegistrationMissing, Level::Error)]);
        assert!(findings[0].remedy.contains("kubectl logs -n flyte deploy/hook"), "{}", findings[0].remedy);
    }
    let by_others = Installation { registers: false, ..installation() };
    let findings = judged(&by_others, Value::Null, Vec::new());
    assert!(findings[0].remedy.contains("disableCreateMutatingWebhookConfig"), "{}", findings[0].remedy);
}

#[test]
fn a_field_that_differs_is_named_with_both_values() {
    for (member, value, level) in [
        ("objectSelector", json!({}), Level::Error),
        ("rules", json!([]), Level::Error),
        ("clientConfig", json!({"url": "https://elsewhere/", "caBundle": "UEVN"}), Level::Error),
        ("timeoutSeconds", json!(3), Level::Warning),
        ("sideEffects", json!("None"), Level::Warning),
    ] {
        let mut there = stored(&installation());
        there["webhooks"][0][member] = value.clone();
        let findings = judged(&installation(), there, Vec::new());
        assert_eq!(ids(&findings), [(Id::RegistrationDiffers, level)], "{member}");
        assert!(findings[0].what.starts_with(member), "{}", findings[0].what);
        assert!(!findings[0].what.contains("UEVN"), "a bundle is of no use to people");
    }
}

#[test]
fn what_others_add_by_name_is_no_difference() {
    let condition = |name: &str| json!({"name": name, "expression": "true"});
    let wanted = json!([condition("ours")]);
    assert!(holds(&json!([condition("theirs"), condition("ours")]), &wanted));
    assert!(!holds(&json!([condition("theirs")]), &wanted));
    assert!(!holds(&json!(["CREATE", "UPDATE"]), &json!(["CREATE"])));
}

#[test]
fn ignored_failures_and_owners_are_warned_of() {
    let mut there = stored(&installation());
    there["webhooks"][0]["failurePolicy"] = json!("Ignore");
    there["metadata"]["ownerReferences"] = json!([{"kind": "Pod", "name": "hook-0"}]);
    let warned = ids(&judged(&installation(), there, Vec::new()));
    let expected = [(Id::RegistrationIgnoresFailures, Level::Warning), (Id::RegistrationOwned, Level::Warning)];
    assert_eq!(warned, expected, "each once");
}

#[test]
fn with_the_vault_manager_the_name_has_to_sort_before_the_injectors() {
    let injector = |name: &str| json!({"metadata": {"name": name}, "webhooks": [{"name": "vault.hashicorp.com"}]});
    let mut with_vault = installation();
    with_vault.settings.managers.push(SecretManagerType::Vault);
    for (installation, other, expected) in [
        (&with_vault, "vault-agent-injector-cfg", Id::RegistrationAsConfigured),
        (&with_vault, "a-vault", Id::RegistrationOrder),
        (&installation(), "a-vault", Id::RegistrationAsConfigured),
    ] {
        let findings = judged(installation, stored(installation), vec![injector(other)]);
        assert_eq!(findings.iter().map(|finding| finding.id).collect::<Vec<_>>(), [expected], "{other}");
    }
}

#[test]
fn what_may_not_be_read_is_no_error() {
    let forbidden = ApiError {
        verb: crate::kubernetes::Verb::Get,
        object: ours(&installation()),
        kind: ApiErrorKind::Forbidden,
        message: String::new(),
    };
    let configurations = Configurations { ours: Err(forbidden.clone()), all: Err(forbidden) };
    let findings = judge(&installation(), &configurations);
    assert_eq!(ids(&findings), [(Id::CouldNotLook, Level::Info)]);
    assert!(findings[0].remedy.contains("verbs: [\"get\"]"), "{}", findings[0].remedy);
}
