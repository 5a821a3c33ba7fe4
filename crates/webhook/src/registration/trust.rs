//! Does the registration lead to the certificate that is served?

use std::time::SystemTime;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use rustls_pki_types::CertificateDer;
use serde_json::Value;

use super::apply::read;
use super::authorities::Authorities;
use super::desired::WEBHOOK_NAME;
use super::plan::decoded;
use crate::certificates::is_signed_by;

/// Whether an API server with this bundle (PEM) would trust the certificate that `chain` begins with, at the time `now`. Its
/// names are not looked at.
#[must_use]
pub fn trusts(ca_bundle: &str, chain: &[CertificateDer<'static>], now: SystemTime) -> bool {
    Authorities::read(ca_bundle).all.iter().any(|authority| is_signed_by(chain, &authority.der, now))
}

/// What a registration that somebody else keeps says about the certificate that we serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The API server trusts it.
    Trusted,
    /// The API server does not, and will refuse pods.
    Distrusted,
    /// That cannot be told, for this reason.
    Unknown(String),
}

/// Looks at the MutatingWebhookConfiguration `name`, which somebody else keeps. In it counts Flyte's webhook, or if there is
/// none of its name, any.
///
/// Needs the verb `get` on the configuration.
pub async fn look(client: kube::Client, name: &str, chain: &[CertificateDer<'static>], now: SystemTime) -> Found {
    let configurations = Api::<MutatingWebhookConfiguration>::all(client);
    match read(&configurations, name).await {
        Ok(Some(configuration)) => judge(&configuration, chain, now),
        Ok(None) => Found::Unknown(format!("there is no MutatingWebhookConfiguration {name}")),
        Err(error) => Found::Unknown(error.to_string()),
    }
}

fn judge(configuration: &Value, chain: &[CertificateDer<'static>], now: SystemTime) -> Found {
    let all = configuration["webhooks"].as_array().map_or(&[][..], Vec::as_slice);
    let ours: Vec<&Value> = all.iter().filter(|webhook| webhook["name"] == WEBHOOK_NAME).collect();
    let counted = if ours.is_empty() { all.iter().collect() } else { ours };
    if counted.is_empty() {
        return Found::Unknown("there is no webhook in it".to_owned());
    }
    let mut found = Found::Distrusted;
    for webhook in counted {
        match decoded(webhook) {
            None => found = Found::Unknown("it has no caBundle, so the API server's own issuers count".to_owned()),
            Some(bundle) if trusts(&bundle, chain, now) => return Found::Trusted,
            Some(_) => {}
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use data_encoding::BASE64;
    use serde_json::json;

    use super::super::tests_support::ca;
    use super::*;
    use crate::certificates::{CertificateAuthority, CertificateNames, KeyPairPem};
    use crate::kubernetes::fake_api_server::FakeApiServer;

    fn pair() -> KeyPairPem {
        let names = CertificateNames::for_hosts(&["localhost".to_owned()]).unwrap();
        let now = SystemTime::now();
        CertificateAuthority::new(now).unwrap().issue(&names, now).unwrap()
    }

    fn with(webhooks: &[(&str, Option<&str>)]) -> Value {
        let webhooks = webhooks.iter().map(|(name, bundle)| {
            let bundle = bundle.map(|bundle| BASE64.encode(bundle.as_bytes()));
            json!({"name": name, "clientConfig": {"caBundle": bundle}})
        });
        json!({"webhooks": webhooks.collect::<Vec<_>>()})
    }

    #[test]
    fn a_certificate_is_trusted_by_the_ca_that_signed_it_among_others() {
        let (served, other) = (pair(), pair());
        let chain = served.chain().unwrap();
        let (ours, theirs) = (served.ca_crt.unwrap(), other.ca_crt.unwrap());
        let now = SystemTime::now();
        assert!(trusts(&format!("{}{theirs}{ours}", ca("x")), &chain, now));
        assert!(!trusts(&theirs, &chain, now));
        assert!(!trusts("garbage", &chain, now));
    }

    #[test]
    fn flytes_webhook_counts_and_where_there_is_none_any() {
        let (served, other) = (pair(), ca("other"));
        let chain = served.chain().unwrap();
        let ours = served.ca_crt.unwrap();
        for (webhooks, found) in [
            (vec![(WEBHOOK_NAME, Some(&*ours)), ("x", Some(&*other))], Found::Trusted),
            (vec![(WEBHOOK_NAME, Some(&*other)), ("x", Some(&*ours))], Found::Distrusted),
            (vec![("y", Some(&*other)), ("x", Some(&*ours))], Found::Trusted),
            (vec![("y", Some(&*other))], Found::Distrusted),
        ] {
            assert_eq!(judge(&with(&webhooks), &chain, SystemTime::now()), found, "{webhooks:?}");
        }
        for webhooks in [vec![(WEBHOOK_NAME, None)], vec![]] {
            assert!(matches!(judge(&with(&webhooks), &chain, SystemTime::now()), Found::Unknown(_)), "{webhooks:?}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_said() {
        let server = FakeApiServer::default();
        let Found::Unknown(missing) = look(server.client(), "hook", &[], SystemTime::now()).await else { panic!() };
        assert_eq!(missing, "there is no MutatingWebhookConfiguration hook");
        server.cluster().forbidden.insert("get");
        let Found::Unknown(forbidden) = look(server.client(), "hook", &[], SystemTime::now()).await else { panic!() };
        assert!(forbidden.contains("verbs: [\"get\"]"), "{forbidden}");
    }
}
