//! An installation for the tests of judgements.

use std::time::Duration;

use flyte_secrets_core::settings::{Delivery, Profile, Settings};

use super::check::Level;
use super::finding::Finding;
use super::ids::Id;
use super::installation::{Installation, Options};
use crate::registration::{Endpoint, RegistrationSettings};

/// The webhook `hook` in the namespace `flyte`, behind its Service.
pub(super) fn installation() -> Installation {
    let endpoint = Endpoint::Service { namespace: "flyte".to_owned(), name: "hook".to_owned(), port: 443 };
    Installation {
        settings: Settings { delivery: Delivery::SecretRef, ..Settings::defaults(Profile::Flyte2) },
        namespace: "flyte".to_owned(),
        registration: RegistrationSettings {
            timeout: Duration::from_secs(10),
            ..RegistrationSettings::new("hook", endpoint)
        },
        registers: true,
        certificate_secret: "hook".to_owned(),
        makes_certificate: true,
        authority_secret: None,
        leases: vec!["hook-leader".to_owned()],
        store_namespace: None,
        watches_store: false,
        reviews_tokens: false,
        looks_first: false,
        writes_events: false,
    }
}

/// In the webhook's pod, or on a laptop.
pub(super) fn options(inside: bool) -> Options {
    Options { service_account: None, test_namespace: "tasks".to_owned(), inside, timeout: Duration::from_secs(15) }
}

/// What most tests compare.
pub(super) fn ids(findings: &[Finding]) -> Vec<(Id, Level)> {
    findings.iter().map(|finding| (finding.id, finding.level)).collect()
}
