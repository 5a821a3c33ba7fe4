//! Whether the API server reaches the webhook, by what it says to pods that are tried.

use flyte_secrets_core::settings::OnUnserved;
use serde_json::Value;

use super::api::core;
use super::finding::Finding;
use super::ids::Id;
use super::installation::{Installation, Options};
use super::probe::{Facts, Outcome, Try};
use super::rivals::Namespaces;
use super::selector::selects;
use crate::kubernetes::{ApiError, Verb};
use crate::registration::WEBHOOK_NAME;

/// What is judged beside the tries.
pub(super) struct Judge<'a> {
    pub(super) installation: &'a Installation,
    pub(super) options: &'a Options,
    /// Our webhook as it is registered.
    pub(super) webhook: Option<&'a Value>,
    pub(super) namespaces: &'a Result<Namespaces, ApiError>,
}

impl Judge<'_> {
    pub(super) fn judge(&self, facts: &Facts) -> Vec<Finding> {
        let place = format!("pods in namespace {}, as a dry run", self.options.test_namespace);
        let findings = match self.of_plain(&facts.plain) {
            Some(finding) => vec![finding],
            None => self.of_asking(facts),
        };
        findings.into_iter().map(|finding| finding.at(&place)).collect()
    }

    /// A pod that asks for nothing is admitted as it is, whether the webhook was called or not.
    fn of_plain(&self, plain: &Try) -> Option<Finding> {
        match &plain.outcome {
            Outcome::Admitted { .. } => None,
            Outcome::Refused { code, message } => Some(self.refused(*code, message)),
            Outcome::Silent(why) => Some(self.silent(why)),
        }
    }

    fn of_asking(&self, facts: &Facts) -> Vec<Finding> {
        let called = match &facts.asking.outcome {
            Outcome::Admitted { served: true, .. } => "a request is served",
            Outcome::Admitted { served: false, warned: true }
                if self.installation.settings.on_unserved == OnUnserved::Admit =>
            {
                "a request that nobody serves is admitted with a warning (webhook.onUnserved: Admit)"
            }
            Outcome::Admitted { .. } => return vec![self.not_called()],
            Outcome::Refused { message, .. } if denied_by_us(message) => {
                "a request for a secret that exists nowhere is refused"
            }
            Outcome::Refused { code, message } => return vec![self.refused(*code, message)],
            Outcome::Silent(why) => return vec![self.silent(why)],
        };
        let took = facts.plain.took.min(facts.asking.took);
        let what = format!("the API server calls the webhook: {called}; an admission took {} ms", took.as_millis());
        let mut findings = vec![Finding::ok(Id::AdmissionWorks, what)];
        let limit = self.installation.registration.timeout;
        let slowest = facts.plain.took.max(facts.asking.took);
        if slowest > limit / 2 {
            let what = format!(
                "an admission took {} ms of the {} s that the API server waits (webhook.webhookTimeout)",
                slowest.as_millis(),
                limit.as_secs()
            );
            let remedy = "look at the stores (webhook.embeddedSecretManagerConfig.callTimeout) and at the CPU limit of the \
                          webhook's pods";
            findings.push(Finding::warning(Id::AdmissionSlow, what).remedy(remedy));
        }
        findings
    }

    fn not_called(&self) -> Finding {
        let namespace = &self.options.test_namespace;
        let labels = self.namespaces.as_ref().ok().and_then(|namespaces| namespaces.get(namespace));
        let selector = self.webhook.map(|webhook| &webhook["namespaceSelector"]);
        if let (Some(labels), Some(selector)) = (labels, selector)
            && !selects(selector, labels)
        {
            let what = format!("the registered namespaceSelector does not select the namespace {namespace}");
            return Finding::info(Id::AdmissionNotSelected, what)
                .remedy("--test-namespace with a namespace in which tasks run");
        }
        let ignores = self.webhook.is_some_and(|webhook| webhook["failurePolicy"] == "Ignore");
        let or = if ignores { ", or ignores that the call fails (failurePolicy: Ignore)" } else { "" };
        let what =
            format!("a pod that asks for a secret is admitted as it is: the API server does not call the webhook{or}");
        Finding::error(Id::AdmissionNotCalled, what)
            .remedy("look at the findings of the registration, and at its matchConditions and namespaceSelector")
    }

    /// A pod that is not admitted: by whom, and what that means.
    fn refused(&self, code: u16, message: &str) -> Finding {
        let quoted = format!("the API server says: {message}");
        if !message.contains(WEBHOOK_NAME) {
            return match code {
                403 if message.contains(" cannot create resource ") => {
                    let pods = core("pods", Some(&self.options.test_namespace), "");
                    let what = "no pod could be tried: not allowed for whoever runs doctor";
                    let remedy = format!("add to a {} of theirs: {}", pods.role(), pods.rule(Verb::Create));
                    Finding::info(Id::CouldNotLook, what).remedy(remedy)
                }
                504 => self.silent(message),
                404 => Finding::info(Id::CouldNotLook, format!("no pod could be tried; {quoted}"))
                    .remedy("--test-namespace with a namespace that is there"),
                _ => Finding::info(Id::AdmissionBlocked, format!("something else is against the pod; {quoted}"))
                    .remedy("--test-namespace with a namespace in which tasks run"),
            };
        }
        if denied_by_us(message) {
            return Finding::error(Id::AdmissionFails, format!("a pod that asks for nothing is refused; {quoted}"))
                .remedy("look at the webhook's log");
        }
        let contains = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
        let (id, remedy) = if contains(&["x509:", "certificate"]) {
            (Id::AdmissionNotTrusted, self.not_trusted(message))
        } else if contains(&["deadline exceeded", "Client.Timeout", "i/o timeout", "TLS handshake timeout"]) {
            (Id::AdmissionTimesOut, self.times_out())
        } else if contains(&["failed to call webhook", "connection refused", "no endpoints available", "EOF"]) {
            (Id::AdmissionUnreachable, self.unreachable())
        } else {
            (Id::AdmissionFails, "look at the webhook's log".to_owned())
        };
        Finding::error(id, format!("pods with secrets are refused; {quoted}")).remedy(remedy)
    }

    fn silent(&self, why: &str) -> Finding {
        Finding::error(Id::AdmissionTimesOut, format!("the API server did not answer: {why}")).remedy(self.times_out())
    }

    fn not_trusted(&self, message: &str) -> String {
        let name = &self.installation.registration.name;
        if message.contains("has expired") {
            return "replace the certificate; see the findings of the certificates".to_owned();
        }
        if message.contains("certificate is valid for") || message.contains("doesn't contain any IP SANs") {
            return "the certificate is for another name: webhook.serviceName, POD_NAMESPACE and webhook.url name the server"
                .to_owned();
        }
        format!(
            "the registered caBundle is not of the CA that signed the certificate; see the findings of the certificates, and \
             who writes it: kubectl get mutatingwebhookconfiguration {name} -o yaml --show-managed-fields"
        )
    }

    fn times_out(&self) -> String {
        let port = self.port();
        format!(
            "packets are dropped on the way from the API server to {port} of the webhook's pods: allow it in NetworkPolicies \
             and in the firewall between control plane and nodes (private GKE and EKS clusters: add that port to the rule for \
             the control plane's address range); or the pods hang: look at their log and CPU limit"
        )
    }

    fn unreachable(&self) -> String {
        let Installation { namespace, registration, .. } = self.installation;
        let port = self.port();
        format!(
            "see that pods are ready, that the Service leads to {port}, and that NetworkPolicies allow it: kubectl get \
             service,endpointslices,pods -n {namespace} (Service {})",
            registration.name
        )
    }

    fn port(&self) -> &'static str {
        "the HTTPS port (webhook.listenPort)"
    }
}

/// Whether our webhook was called and has said no.
fn denied_by_us(message: &str) -> bool {
    message.contains(&format!("admission webhook \"{WEBHOOK_NAME}\" denied the request"))
}

#[cfg(test)]
#[path = "admission_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
