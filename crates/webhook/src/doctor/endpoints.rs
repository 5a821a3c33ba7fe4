//! What the webhook serves, as a client sees it: the certificates behind its Service or at its URL.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::api::{Reader, core, object};
use super::installation::Installation;
use crate::kubernetes::ApiError;
use crate::registration::Endpoint;

/// How long one connection and its handshake may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// No more addresses than these are looked at.
const MOST: usize = 20;

/// One address, and the certificates that it serves, or why none was seen.
pub(super) struct Served {
    pub(super) address: String,
    pub(super) chain: Result<Vec<CertificateDer<'static>>, String>,
}

/// The addresses behind the Service, or that of the URL; empty where there are none.
pub(super) async fn addresses(reader: &Reader, installation: &Installation) -> Result<Vec<String>, ApiError> {
    match &installation.registration.endpoint {
        Endpoint::Url { base, .. } => Ok(vec![authority(base)]),
        Endpoint::Service { namespace, name, port } => behind(reader, namespace, name, *port).await,
    }
}

/// Host and port of `https://HOST[:PORT]`.
fn authority(base: &str) -> String {
    let authority = base.trim_start_matches("https://");
    let has_port = authority.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok());
    // An IPv6 address ends with a bracket where no port follows.
    if has_port && !authority.ends_with(']') { authority.to_owned() } else { format!("{authority}:443") }
}

#[derive(Deserialize)]
struct Service {
    spec: ServiceSpec,
}

#[derive(Deserialize)]
struct ServiceSpec {
    #[serde(default)]
    ports: Vec<ServicePort>,
}

#[derive(Deserialize)]
struct ServicePort {
    name: Option<String>,
    port: u16,
}

#[derive(Deserialize)]
struct Slice {
    endpoints: Option<Vec<SliceEndpoint>>,
    ports: Option<Vec<SlicePort>>,
}

#[derive(Deserialize)]
struct SliceEndpoint {
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
}

#[derive(Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
}

#[derive(Deserialize)]
struct SlicePort {
    name: Option<String>,
    port: Option<u16>,
}

async fn behind(reader: &Reader, namespace: &str, name: &str, port: u16) -> Result<Vec<String>, ApiError> {
    let Some(service): Option<Service> = reader.get(&core("services", Some(namespace), name)).await? else {
        return Ok(Vec::new());
    };
    let ports = service.spec.ports;
    let Some(named) = ports.into_iter().find(|one| one.port == port).map(|port| port.name.unwrap_or_default()) else {
        return Ok(Vec::new());
    };
    let slices = object("discovery.k8s.io", "endpointslices", Some(namespace), "");
    let slices: Vec<Slice> = reader.list(&slices, &format!("kubernetes.io/service-name={name}")).await?;
    Ok(ready(&slices, &named))
}

/// The ready addresses at the port of that name.
fn ready(slices: &[Slice], named: &str) -> Vec<String> {
    let mut found = Vec::new();
    for slice in slices {
        let ports = slice.ports.iter().flatten();
        let ports = ports.filter(|port| port.name.as_deref().unwrap_or_default() == named);
        for port in ports.filter_map(|port| port.port) {
            let endpoints = slice.endpoints.iter().flatten();
            // Absent means ready: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ready
            let ready = endpoints.filter(|endpoint| endpoint.conditions.ready.unwrap_or(true));
            found.extend(ready.flat_map(|endpoint| &endpoint.addresses).map(|address| match address.contains(':') {
                true => format!("[{address}]:{port}"),
                false => format!("{address}:{port}"),
            }));
        }
    }
    found.truncate(MOST);
    found
}

/// What each address serves to a client that asks for `name`.
pub(super) async fn look(addresses: Vec<String>, name: &str) -> Vec<Served> {
    join_all(addresses.into_iter().map(|address| async {
        let chain = match timeout(PATIENCE, handshake(&address, name)).await {
            Ok(chain) => chain,
            Err(_) => Err(format!("no answer after {} s", PATIENCE.as_secs())),
        };
        Served { address, chain }
    }))
    .await
}

async fn handshake(address: &str, name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("{name:?} is no name for TLS"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let connected = connected.map_err(|error| format!("no TLS: {error}"))?;
    let chain = connected.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(chain.iter().map(|certificate| certificate.clone().into_owned()).collect())
}

/// Takes every certificate, because it is there to be looked at: nothing is sent to the server.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_address_of_a_url_has_a_port() {
        for (url, address) in [
            ("https://hook", "hook:443"),
            ("https://hook:9443", "hook:9443"),
            ("https://[::1]", "[::1]:443"),
            ("https://[::1]:9443", "[::1]:9443"),
        ] {
            assert_eq!(authority(url), address);
        }
    }

    #[test]
    fn ready_addresses_are_taken_at_the_port_of_the_service() {
        let slices = |document: Value| -> Vec<Slice> { serde_json::from_value(document).unwrap_or_default() };
        let two = slices(json!([
            {
                "ports": [{"name": "https", "port": 9443}, {"name": "metrics", "port": 10254}],
                "endpoints": [
                    {"addresses": ["192.0.2.1"], "conditions": {"ready": true}},
                    {"addresses": ["192.0.2.2"], "conditions": {"ready": false}},
                    {"addresses": ["192.0.2.3"]},
                ],
            },
            {"ports": [{"name": "https", "port": 9443}], "endpoints": [{"addresses": ["2001:db8::1"]}]},
            {"ports": null, "endpoints": null},
        ]));
        assert_eq!(ready(&two, "https"), ["192.0.2.1:9443", "192.0.2.3:9443", "[2001:db8::1]:9443"]);
        assert_eq!(ready(&two, "other"), Vec::<String>::new());
    }
}
