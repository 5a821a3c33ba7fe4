//! The names that a serving certificate is for.

use std::collections::BTreeSet;

use rustls_pki_types::ServerName;

/// A name that cannot stand in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither a DNS name nor an IP address; a certificate for it cannot be made or checked")]
pub struct InvalidName(pub String);

/// The names that a certificate is made for, and the ones without which it is of no use.
///
/// They differ because a certificate that Flyte itself made lacks the longest name, and is good all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateNames {
    issued: Vec<String>,
    required: Vec<String>,
}

impl CertificateNames {
    /// The names of a Service, and `extra` DNS names or IP addresses.
    ///
    /// Made for `<service>`, `<service>.<namespace>`, `<service>.<namespace>.svc`,
    /// `<service>.<namespace>.svc.cluster.local` and `extra`. Required are `<service>.<namespace>.svc`, by which the API
    /// server calls a webhook's Service, and `extra`.
    ///
    /// # Errors
    ///
    /// When a name is neither a DNS name nor an IP address.
    pub fn for_service(service: &str, namespace: &str, extra: &[String]) -> Result<Self, InvalidName> {
        let called = format!("{service}.{namespace}.svc");
        let issued =
            [service.to_owned(), format!("{service}.{namespace}"), called.clone(), format!("{called}.cluster.local")];
        Self::new(issued.into_iter().chain(extra.iter().cloned()), std::iter::once(called).chain(extra.iter().cloned()))
    }

    /// DNS names or IP addresses, all of them required: for a webhook that is registered by URL.
    ///
    /// # Errors
    ///
    /// When a name is neither a DNS name nor an IP address.
    pub fn for_hosts(hosts: &[String]) -> Result<Self, InvalidName> {
        Self::new(hosts.iter().cloned(), hosts.iter().cloned())
    }

    fn new(issued: impl Iterator<Item = String>, required: impl Iterator<Item = String>) -> Result<Self, InvalidName> {
        Ok(Self { issued: valid(issued)?, required: valid(required)? })
    }

    /// The names to put into a new certificate, each once.
    #[must_use]
    pub fn issued(&self) -> &[String] {
        &self.issued
    }

    /// The names that a certificate must cover.
    #[must_use]
    pub fn required(&self) -> &[String] {
        &self.required
    }
}

fn valid(names: impl Iterator<Item = String>) -> Result<Vec<String>, InvalidName> {
    let mut seen = BTreeSet::new();
    let mut valid = Vec::new();
    for name in names {
        if ServerName::try_from(name.as_str()).is_err() {
            return Err(InvalidName(name));
        }
        if seen.insert(name.clone()) {
            valid.push(name);
        }
    }
    Ok(valid)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_service_gets_all_its_names_and_the_extra_ones_once() {
        let extra = ["127.0.0.1".to_owned(), "localhost".to_owned(), "hook".to_owned()];
        let names = CertificateNames::for_service("hook", "flyte", &extra).unwrap();
        assert_eq!(
            names.issued(),
            ["hook", "hook.flyte", "hook.flyte.svc", "hook.flyte.svc.cluster.local", "127.0.0.1", "localhost"]
        );
        assert_eq!(names.required(), ["hook.flyte.svc", "127.0.0.1", "localhost", "hook"]);
    }

    #[test]
    fn what_is_no_name_is_named_in_the_error() {
        for wrong in ["", "a b", "*.example.com", "https://host", "host:9443"] {
            let error = CertificateNames::for_hosts(&[wrong.to_owned()]).unwrap_err();
            assert_eq!(error, InvalidName(wrong.to_owned()));
        }
    }

    #[test]
    fn addresses_of_both_families_are_names() {
        let hosts = ["::1".to_owned(), "192.0.2.1".to_owned()];
        assert_eq!(CertificateNames::for_hosts(&hosts).unwrap().issued(), hosts);
    }
}
