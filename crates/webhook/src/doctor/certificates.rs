//! The certificate that is served, and the bundle by which the API server judges it.

use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use k8s_openapi::jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Reader, core, could_not_look, place};
use super::check::Level;
use super::endpoints::{Served, addresses, look};
use super::finding::Finding;
use super::ids::Id;
use super::installation::{Installation, Options};
use crate::certificates::{CA_CRT, CertificateNames, Problem, TLS_CRT, inspect_chain, validity_of};
use crate::kubernetes::ApiError;

/// The most of a certificate's life that may be left while it counts as ending soon.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Of its whole life, this part: whoever renews certificates has done so before.
const LAST_PART: u32 = 5;

/// What was seen.
pub(super) struct Facts {
    pub(super) served: Result<Vec<Served>, ApiError>,
    pub(super) secret: Result<Option<SecretPem>, ApiError>,
}

/// The certificates in the Secret. Its key is never read out of the answer.
#[derive(Default, Deserialize)]
pub(super) struct SecretPem {
    #[serde(default)]
    data: SecretData,
}

#[derive(Default, Deserialize)]
struct SecretData {
    #[serde(rename = "tls.crt")]
    tls_crt: Option<String>,
}

impl SecretPem {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let pem = self.data.tls_crt.as_ref().and_then(|text| BASE64.decode(text.as_bytes()).ok());
        pem.map(|pem| certificates(&pem)).unwrap_or_default()
    }
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// The certificates of the registered `caBundle`; `None` if there is none.
pub(super) fn bundle(webhook: Option<&Value>) -> Option<Vec<CertificateDer<'static>>> {
    let text = webhook?["clientConfig"]["caBundle"].as_str().filter(|text| !text.is_empty())?;
    Some(BASE64.decode(text.as_bytes()).map(|pem| certificates(&pem)).unwrap_or_default())
}

pub(super) async fn ask(reader: &Reader, installation: &Installation, names: &CertificateNames) -> Facts {
    let secret = core("secrets", Some(&installation.namespace), &installation.certificate_secret);
    let name = names.required().first().map_or("", String::as_str);
    let served = async { Ok(look(addresses(reader, installation).await?, name).await) };
    let secret = async {
        match installation.authority_secret {
            // Replicas make their own certificates, and keep them in memory.
            Some(_) => Ok(None),
            None => reader.get(&secret).await,
        }
    };
    let (served, secret) = futures::join!(served, secret);
    Facts { served, secret }
}

/// Who judges, and when.
pub(super) struct Judge<'a> {
    pub(super) installation: &'a Installation,
    pub(super) options: &'a Options,
    pub(super) names: &'a CertificateNames,
    pub(super) now: SystemTime,
}

impl Judge<'_> {
    pub(super) fn judge(&self, webhook: Option<&Value>, facts: &Facts) -> Vec<Finding> {
        let bundle = bundle(webhook);
        let mut findings = Vec::new();
        if webhook.is_some() {
            findings.extend(self.bundle(bundle.as_deref()));
        }
        if bundle.as_ref().is_some_and(Vec::is_empty) {
            // Nothing can be trusted by it.
            return findings;
        }
        let authorities = bundle.as_deref().unwrap_or_default();
        let mut seen = 0;
        match &facts.served {
            Err(error) => findings.push(could_not_look(error)),
            Ok(served) => {
                for Served { address, chain } in served {
                    match chain {
                        Ok(chain) if !chain.is_empty() => {
                            seen += 1;
                            findings.extend(self.chain(address, chain, authorities));
                        }
                        Ok(_) => findings.push(self.not_seen(address, "it serves no certificate")),
                        Err(why) => findings.push(self.not_seen(address, why)),
                    }
                }
            }
        }
        findings.extend(self.secret(&facts.secret, authorities, seen > 0));
        if findings.is_empty() {
            let what = "there is no ready address behind the Service, and no certificate in its Secret, to look at";
            findings.push(Finding::info(Id::CertificatesNotSeen, what));
        }
        findings
    }

    /// Every certificate of the bundle that has ended: harmless beside one that is valid.
    fn bundle(&self, bundle: Option<&[CertificateDer<'static>]>) -> Option<Finding> {
        let Some(bundle) = bundle else {
            let what = "there is no caBundle: the API server trusts the issuers that its system trusts";
            return Some(Finding::info(Id::CertificatesNoBundle, what));
        };
        let ends: Vec<Timestamp> = bundle.iter().filter_map(|one| validity_of(one)).map(|(_, end)| end).collect();
        let Some(last) = ends.iter().max() else {
            let what = "the registered caBundle holds no certificate, so the API server trusts nobody";
            return Some(Finding::error(Id::CertificatesUntrusted, what).at("caBundle").remedy(self.rewrite()));
        };
        if *last < self.timestamp() {
            let what = format!("every CA in the registered caBundle has expired, the last at {last}");
            return Some(Finding::error(Id::CertificatesInvalid, what).at("caBundle").remedy(self.renew()));
        }
        let left = bundle.iter().filter_map(|one| validity_of(one)).max_by_key(|(_, end)| *end);
        let rotated = self.installation.authority_secret.is_some();
        left.filter(|validity| !rotated && self.soon(*validity)).map(|(_, end)| {
            let what = format!("the last CA of the registered caBundle ends at {end}");
            Finding::warning(Id::CertificatesExpireSoon, what).at("caBundle").remedy(self.renew())
        })
    }

    fn chain(
        &self,
        at: &str,
        chain: &[CertificateDer<'static>],
        authorities: &[CertificateDer<'static>],
    ) -> Vec<Finding> {
        match inspect_chain(chain, authorities, self.names, self.now) {
            Err(problems) => {
                // That of a CA is told once, with the bundle.
                let of_bundle = |problem: &&Problem| matches!(problem, Problem::Expired { part: CA_CRT, .. });
                problems.iter().filter(|one| !of_bundle(one)).map(|one| self.problem(one).at(at)).collect()
            }
            Ok(_) => vec![self.good(chain, !authorities.is_empty()).at(at)],
        }
    }

    /// A certificate that is as it should be; whether it was `judged` by a bundle.
    fn good(&self, chain: &[CertificateDer<'static>], judged: bool) -> Finding {
        let trusted = if judged { "the API server trusts the certificate" } else { "there is a certificate" };
        let Some(validity) = chain.first().and_then(|leaf| validity_of(leaf)) else {
            return Finding::ok(Id::CertificatesTrusted, trusted);
        };
        let (_, end) = validity;
        match self.soon(validity) {
            true => Finding::warning(Id::CertificatesExpireSoon, format!("the certificate ends at {end}"))
                .remedy(self.renew()),
            false => Finding::ok(Id::CertificatesTrusted, format!("{trusted}, which is valid until {end}")),
        }
    }

    fn problem(&self, problem: &Problem) -> Finding {
        // The texts speak of files; here it is what is served and what is registered.
        let what = problem.to_string().replace(CA_CRT, "the registered caBundle").replace(TLS_CRT, "the certificate");
        match problem {
            Problem::Expired { .. } => Finding::error(Id::CertificatesInvalid, what).remedy(self.renew()),
            Problem::NotYetValid { .. } => {
                Finding::error(Id::CertificatesInvalid, what).remedy("set the clocks of the nodes right")
            }
            Problem::NameNotCovered { .. } => Finding::error(Id::CertificatesUntrusted, what).remedy(
                "webhook.serviceName, POD_NAMESPACE and webhook.url name the server; make a certificate for that name",
            ),
            Problem::NotTrusted { .. } | Problem::Missing { .. } | Problem::KeyMismatch => {
                Finding::error(Id::CertificatesUntrusted, what).remedy(self.rewrite())
            }
            Problem::Unreadable { .. } => Finding::error(Id::CertificatesUntrusted, what).remedy(self.renew()),
        }
    }

    /// The Secret is what a replica serves when it starts next; where no replica was seen, it stands for all.
    fn secret(
        &self,
        secret: &Result<Option<SecretPem>, ApiError>,
        authorities: &[CertificateDer<'static>],
        seen: bool,
    ) -> Vec<Finding> {
        let at = core("secrets", Some(&self.installation.namespace), &self.installation.certificate_secret);
        let chain = match secret {
            Err(error) => return vec![could_not_look(error)],
            Ok(secret) => secret.as_ref().map(SecretPem::chain).unwrap_or_default(),
        };
        if chain.is_empty() {
            return Vec::new();
        }
        let findings = self.chain(&place(&at), &chain, authorities).into_iter();
        if !seen {
            return findings.collect();
        }
        let bad = findings.filter(|finding| finding.level == Level::Error);
        let differs = bad.map(|finding| {
            let what = format!("a replica that starts now would not be trusted: {}", finding.what);
            Finding::warning(Id::CertificatesSecretDiffers, what).at(finding.place).remedy(finding.remedy)
        });
        differs.collect()
    }

    fn not_seen(&self, address: &str, why: &str) -> Finding {
        let what = format!("the certificate there cannot be seen from here: {why}");
        match self.options.inside {
            false => Finding::info(Id::CertificatesNotSeen, what)
                .remedy("run doctor in the webhook's pod (kubectl exec), which reaches all replicas"),
            true => Finding::warning(Id::CertificatesNotSeen, what)
                .remedy("look at the pod's log, at webhook.listenPort, and at NetworkPolicies"),
        }
        .at(address)
    }

    fn renew(&self) -> String {
        let Installation { namespace, certificate_secret, authority_secret, .. } = self.installation;
        match authority_secret {
            Some((namespace, name)) => format!(
                "the webhook replaces it by itself; if it does not, its log says why, and Secret {namespace}/{name} may be \
                 deleted to begin anew"
            ),
            None => format!(
                "let whoever made the certificate renew it; one of ours: kubectl delete secret -n {namespace} \
                 {certificate_secret}, then flyte-secrets init-certs (or a restart), with webhook.certDir holding that Secret"
            ),
        }
    }

    fn rewrite(&self) -> String {
        let name = &self.installation.registration.name;
        format!(
            "the webhook registers the CA of what it serves within minutes; if it stays so, another program writes the \
             bundle, or webhook.certDir holds another ca.crt: kubectl get mutatingwebhookconfiguration {name} -o yaml \
             --show-managed-fields"
        )
    }

    fn soon(&self, (start, end): (Timestamp, Timestamp)) -> bool {
        let span = |from: Timestamp, to: Timestamp| Duration::try_from(to.duration_since(from)).unwrap_or_default();
        span(self.timestamp(), end) < SOON.min(span(start, end) / LAST_PART)
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::try_from(self.now).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
#[path = "certificates_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
