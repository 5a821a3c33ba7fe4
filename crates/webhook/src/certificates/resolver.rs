//! The certificate that TLS serves now, and how it is replaced.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use k8s_openapi::jiff::Timestamp;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::CertificateDer;

use super::inspect::{Inspected, Problem, certified_key};
use super::key_pair::KeyPairPem;

/// Gives rustls the certificate of the moment. New connections get the new one, those that are open stay as they are.
pub struct CertificateResolver {
    serving: ArcSwap<Serving>,
}

struct Serving {
    key: Arc<CertifiedKey>,
    not_after: Timestamp,
}

impl Serving {
    fn new(pair: &KeyPairPem, inspected: Inspected) -> Result<Arc<Self>, Problem> {
        Ok(Arc::new(Self { key: Arc::new(certified_key(pair)?), not_after: inspected.not_after }))
    }
}

impl CertificateResolver {
    /// Serves `pair`, about which [`inspect`](super::inspect()) found `inspected`.
    ///
    /// # Errors
    ///
    /// When the pair cannot be served; one that was found good can.
    pub fn new(pair: &KeyPairPem, inspected: Inspected) -> Result<Self, Problem> {
        Ok(Self { serving: ArcSwap::new(Serving::new(pair, inspected)?) })
    }

    /// Serves another pair from now on.
    ///
    /// # Errors
    ///
    /// When the pair cannot be served; the old one stays.
    pub fn replace(&self, pair: &KeyPairPem, inspected: Inspected) -> Result<(), Problem> {
        self.serving.store(Serving::new(pair, inspected)?);
        Ok(())
    }

    /// When what is served now expires, for metrics.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.serving.load().not_after
    }
}

impl CertificateResolver {
    /// The certificate that is served now and those that follow it.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.serving.load().key.cert.clone()
    }
}

impl ResolvesServerCert for CertificateResolver {
    /// The one certificate, whatever name the client asks for: the API server asks for the Service's, a probe for
    /// none.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.serving.load().key))
    }
}

impl fmt::Debug for CertificateResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateResolver").field("not_after", &self.not_after()).finish_non_exhaustive()
    }
}

/// TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1 by ALPN, without client certificates; aws-lc-rs is named, so no
/// process-wide provider is needed.
#[must_use]
pub fn server_config(resolver: Arc<CertificateResolver>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the default provider has cipher suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::SystemTime;

    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection, SupportedProtocolVersion};
    use rustls_pki_types::ServerName;

    use super::super::{CertificateAuthority, CertificateNames, KeyPairPem, inspect};
    use super::*;

    fn pair(ca: &CertificateAuthority) -> (KeyPairPem, Inspected) {
        let names = CertificateNames::for_service("hook", "flyte", &["127.0.0.1".to_owned()]).unwrap();
        let pair = ca.issue(&names, SystemTime::now()).unwrap();
        let inspected = inspect(&pair, &names, SystemTime::now()).unwrap();
        (pair, inspected)
    }

    fn client(trusted: &KeyPairPem, version: &'static SupportedProtocolVersion, alpn: &[u8]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.authorities().unwrap().remove(0)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        config
    }

    /// A handshake without a network; what the client was shown, and the protocol they agreed on.
    fn handshake(
        server: &ServerConfig,
        client: ClientConfig,
        name: &'static str,
    ) -> Result<(CertificateDer<'static>, Vec<u8>), rustls::Error> {
        let mut server = ServerConnection::new(Arc::new(server.clone()))?;
        let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(name).unwrap())?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets()?;
            bytes.clear();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets()?;
            }
        }
        let certificate = client.peer_certificates().unwrap()[0].clone().into_owned();
        Ok((certificate, client.alpn_protocol().unwrap_or_default().to_vec()))
    }

    #[test]
    fn both_tls_versions_and_both_http_versions_are_served_under_every_name() {
        let (pair, inspected) = pair(&CertificateAuthority::new(SystemTime::now()).unwrap());
        let server = server_config(Arc::new(CertificateResolver::new(&pair, inspected).unwrap()));
        for version in [&TLS12, &TLS13] {
            for alpn in [b"h2".as_slice(), b"http/1.1"] {
                for name in ["hook.flyte.svc", "hook", "127.0.0.1"] {
                    let (shown, agreed) = handshake(&server, client(&pair, version, alpn), name).unwrap();
                    assert_eq!(shown, pair.chain().unwrap()[0]);
                    assert_eq!(agreed, alpn);
                }
            }
        }
    }

    #[test]
    fn a_client_with_another_ca_or_for_another_name_refuses_us() {
        let now = SystemTime::now();
        let (ours, inspected) = pair(&CertificateAuthority::new(now).unwrap());
        let (other, _) = pair(&CertificateAuthority::new(now).unwrap());
        let server = server_config(Arc::new(CertificateResolver::new(&ours, inspected).unwrap()));
        assert!(handshake(&server, client(&other, &TLS13, b"h2"), "hook.flyte.svc").is_err());
        assert!(handshake(&server, client(&ours, &TLS13, b"h2"), "hook.other.svc").is_err());
    }

    #[test]
    fn a_replaced_certificate_is_shown_to_the_next_connection() {
        let ca = CertificateAuthority::new(SystemTime::now()).unwrap();
        let ((old, old_facts), (new, new_facts)) = (pair(&ca), pair(&ca));
        let resolver = Arc::new(CertificateResolver::new(&old, old_facts).unwrap());
        let server = server_config(Arc::clone(&resolver));
        assert_eq!(handshake(&server, client(&old, &TLS13, b"h2"), "hook").unwrap().0, old.chain().unwrap()[0]);
        let later = Inspected { not_after: new_facts.not_after + std::time::Duration::from_secs(1), ..new_facts };
        resolver.replace(&new, later).unwrap();
        assert_eq!(handshake(&server, client(&old, &TLS13, b"h2"), "hook").unwrap().0, new.chain().unwrap()[0]);
        assert_eq!(resolver.not_after(), later.not_after);
    }
}
