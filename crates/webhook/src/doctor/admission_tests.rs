use std::time::Duration;

use serde_json::json;

use super::super::check::Level;
use super::super::test_installation::{ids, installation, options};
use super::*;

fn took(millis: u64, outcome: Outcome) -> Try {
    Try { outcome, took: Duration::from_millis(millis) }
}

fn admitted(served: bool, warned: bool) -> Outcome {
    Outcome::Admitted { served, warned }
}

fn failed(cause: &str) -> Outcome {
    let message = format!(
        "Internal error occurred: failed calling webhook \"{WEBHOOK_NAME}\": failed to call webhook: Post \
         \"https://hook.flyte.svc:443/mutate--v1-pod?timeout=10s\": {cause}"
    );
    Outcome::Refused { code: 500, message }
}

fn denied() -> Outcome {
    let message = format!("admission webhook \"{WEBHOOK_NAME}\" denied the request: none of the secret managers");
    Outcome::Refused { code: 400, message }
}

fn judged(on_unserved: OnUnserved, plain: Try, asking: Try) -> Vec<Finding> {
    let mut installation = installation();
    installation.settings.on_unserved = on_unserved;
    let namespaces = Ok(Namespaces::new());
    let judge = Judge { installation: &installation, options: &options(true), webhook: None, namespaces: &namespaces };
    judge.judge(&Facts { plain, asking })
}

#[test]
fn the_webhook_is_called_if_the_asking_pod_is_served_refused_by_it_or_warned_of() {
    use OnUnserved::{Admit, Refuse};
    let (works, not_called) = ((Id::AdmissionWorks, Level::Ok), (Id::AdmissionNotCalled, Level::Error));
    for (on_unserved, outcome, expected) in [
        (Refuse, admitted(true, false), works),
        (Refuse, denied(), works),
        (Admit, admitted(false, true), works),
        (Admit, admitted(false, false), not_called),
        // Somebody else has warned.
        (Refuse, admitted(false, true), not_called),
        (Refuse, admitted(false, false), not_called),
    ] {
        let findings = judged(on_unserved, took(1, admitted(false, false)), took(1, outcome.clone()));
        assert_eq!(ids(&findings), [expected], "{on_unserved:?} {outcome:?}");
    }
}

#[test]
fn what_the_api_server_says_of_a_failed_call_is_explained() {
    for (cause, id, remedy) in [
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            Id::AdmissionNotTrusted,
            "caBundle",
        ),
        (
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: …",
            Id::AdmissionNotTrusted,
            "replace",
        ),
        ("x509: certificate is valid for a.b.svc, not hook.flyte.svc", Id::AdmissionNotTrusted, "webhook.serviceName"),
        ("dial tcp 10.0.0.1:9443: connect: connection refused", Id::AdmissionUnreachable, "NetworkPolicies"),
        ("no endpoints available for service \"hook\"", Id::AdmissionUnreachable, "kubectl get service"),
        ("service \"hook\" not found", Id::AdmissionUnreachable, "kubectl get service"),
        ("context deadline exceeded", Id::AdmissionTimesOut, "firewall"),
        ("dial tcp 10.0.0.1:9443: i/o timeout", Id::AdmissionTimesOut, "private GKE"),
        ("EOF", Id::AdmissionUnreachable, "pods are ready"),
    ] {
        let findings = judged(OnUnserved::Refuse, took(1, failed(cause)), took(1, failed(cause)));
        assert_eq!(ids(&findings), [(id, Level::Error)], "{cause}");
        assert!(findings[0].what.contains(cause), "{cause}");
        assert!(findings[0].remedy.contains(remedy), "{cause}: {}", findings[0].remedy);
        assert!(findings[0].place.contains("tasks"));
    }
}

#[test]
fn what_others_are_against_is_not_our_fault() {
    let refused = |code, message: &str| Outcome::Refused { code, message: message.to_owned() };
    for (outcome, id) in [
        (
            refused(403, "pods is forbidden: User \"x\" cannot create resource \"pods\" in API group \"\""),
            Id::CouldNotLook,
        ),
        (refused(404, "namespaces \"tasks\" not found"), Id::CouldNotLook),
        (refused(403, "pods \"x\" is forbidden: exceeded quota: q"), Id::AdmissionBlocked),
        (refused(400, "admission webhook \"policy.example.com\" denied the request: no"), Id::AdmissionBlocked),
    ] {
        let findings = judged(OnUnserved::Refuse, took(1, outcome.clone()), took(1, outcome.clone()));
        assert_eq!(ids(&findings), [(id, Level::Info)], "{outcome:?}");
        assert!(!findings[0].remedy.is_empty());
    }
}

#[test]
fn an_api_server_that_waits_in_vain_says_so() {
    let message = "Timeout: request did not complete within requested timeout - context deadline exceeded".to_owned();
    let late = took(1, Outcome::Refused { code: 504, message });
    let findings = judged(OnUnserved::Refuse, late.clone(), late);
    assert_eq!(ids(&findings), [(Id::AdmissionTimesOut, Level::Error)]);
}

#[test]
fn a_webhook_that_refuses_a_pod_that_asks_for_nothing_fails() {
    let findings = judged(OnUnserved::Refuse, took(1, denied()), took(1, denied()));
    assert_eq!(ids(&findings), [(Id::AdmissionFails, Level::Error)]);
}

#[test]
fn half_of_the_time_out_is_slow() {
    let slow = judged(OnUnserved::Refuse, took(1, admitted(false, false)), took(5_001, denied()));
    assert_eq!(ids(&slow), [(Id::AdmissionWorks, Level::Ok), (Id::AdmissionSlow, Level::Warning)]);
    let quick = judged(OnUnserved::Refuse, took(1, admitted(false, false)), took(5_000, denied()));
    assert_eq!(ids(&quick), [(Id::AdmissionWorks, Level::Ok)]);
}

#[test]
fn a_namespace_that_is_not_selected_is_no_fault() {
    let installation = installation();
    let webhook = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}});
    let of = |team: &str| {
        let labels = [("team".to_owned(), team.to_owned())].into();
        let namespaces = Ok(Namespaces::from([("tasks".to_owned(), labels)]));
        let judge = Judge {
            installation: &installation,
            options: &options(true),
            webhook: Some(&webhook),
            namespaces: &namespaces,
        };
        let untouched = took(1, admitted(false, false));
        ids(&judge.judge(&Facts { plain: untouched.clone(), asking: untouched }))
    };
    assert_eq!(of("b"), [(Id::AdmissionNotSelected, Level::Info)]);
    assert_eq!(of("a"), [(Id::AdmissionNotCalled, Level::Error)]);
}
