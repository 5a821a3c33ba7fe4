//! `webhook.certificates`.

use std::time::Duration;

use crate::durations;
use crate::errors::ConfigError;
use crate::getter::{Getter, named};
use crate::settings::CertificateSettings;

const CA_LIFETIME: &str = "webhook.certificates.caLifetime";
const LEAF_LIFETIME: &str = "webhook.certificates.leafLifetime";
const OVERLAP: &str = "webhook.certificates.caOverlap";
const SKEW: &str = "webhook.certificates.clockSkew";
const MODE: &str = "webhook.certificates.mode";
const CERTIFICATE: &str = "webhook.certificates.certManagerCertificate";

/// API servers keep what they know of registrations in step by a watch; one that is cut off finds out within about a minute.
const SHORT_OVERLAP: Duration = Duration::from_secs(60);

/// Times that do not fit each other would leave moments without a certificate that is trusted.
pub(crate) fn check(values: Getter<'_>, errors: &mut Vec<ConfigError>) {
    check_cert_manager(values, errors);
    let duration = |path| values.duration(path).unwrap_or_default();
    let (leaf, overlap, skew) = (duration(LEAF_LIFETIME), duration(OVERLAP), duration(SKEW));
    let least_leaf = 4 * skew;
    if leaf < least_leaf {
        let least = durations::format(least_leaf);
        let message = format!("shorter than four times {SKEW}, which is {least}");
        errors.push(ConfigError::new(values.origin(LEAF_LIFETIME), LEAF_LIFETIME, message));
    }
    let least_ca = 3 * (leaf + overlap + 3 * skew);
    if duration(CA_LIFETIME) < least_ca {
        let least = durations::format(least_ca);
        let message = format!(
            "too short for a change of CAs: with {LEAF_LIFETIME}, {OVERLAP} and {SKEW} as they are, at least {least}"
        );
        errors.push(ConfigError::new(values.origin(CA_LIFETIME), CA_LIFETIME, message));
    }
}

/// cert-manager has to be told whose CA to put in, and only it takes that.
fn check_cert_manager(values: Getter<'_>, errors: &mut Vec<ConfigError>) {
    let is_mode = values.optional_text(MODE).as_deref() == Some("cert-manager");
    let ours = !values.bool("webhook.disableCreateMutatingWebhookConfig");
    match values.optional_text(CERTIFICATE) {
        Some(_) if !is_mode => {
            let message = format!("has no effect without `{MODE}: cert-manager`");
            errors.push(ConfigError::new(values.origin(CERTIFICATE), CERTIFICATE, message));
        }
        None if is_mode && ours => {
            let message = format!("cert-manager needs `{CERTIFICATE}`, the namespace/name of the Certificate");
            errors.push(ConfigError::new(values.origin(MODE), MODE, message));
        }
        _ => {}
    }
}

/// Makes the settings; `values` have no error.
pub(crate) fn settings(
    values: Getter<'_>,
    pod_namespace: Option<&str>,
    warnings: &mut Vec<String>,
) -> CertificateSettings {
    let duration = |path| values.duration(path).unwrap_or_default();
    let ca_overlap = duration(OVERLAP);
    if ca_overlap < SHORT_OVERLAP {
        warnings.push(format!(
            "{}: {OVERLAP}: shorter than {}: an API server that has not learnt of a new CA in time refuses pods",
            values.origin(OVERLAP),
            durations::format(SHORT_OVERLAP)
        ));
    }
    let (ca_secret_namespace, ca_secret_name) = secret(values, pod_namespace);
    CertificateSettings {
        mode: values.optional_text(MODE).map(|mode| named(&mode)),
        ca_secret_name,
        ca_secret_namespace,
        ca_lifetime: duration(CA_LIFETIME),
        leaf_lifetime: duration(LEAF_LIFETIME),
        ca_overlap,
        clock_skew: duration(SKEW),
        cert_manager_certificate: values.optional_text(CERTIFICATE),
    }
}

/// Namespace and name of the Secret of the CAs.
pub(crate) fn secret(values: Getter<'_>, pod_namespace: Option<&str>) -> (Option<String>, String) {
    let name = values.optional_text("webhook.certificates.caSecretName");
    let namespace = values.optional_text("webhook.certificates.caSecretNamespace");
    (
        namespace.or_else(|| pod_namespace.map(str::to_owned)),
        name.unwrap_or_else(|| format!("{}-ca", values.text("webhook.serviceName"))),
    )
}
