//! A CA and a serving certificate for one run, in the files that the webhook reads.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The namespace that the certificate is for.
pub const NAMESPACE: &str = "flyte";
/// The name that the API server would call.
pub const SERVER_NAME: &str = "flyte-pod-webhook.flyte.svc";

/// Writes `ca.crt`, `tls.crt` and `tls.key` into `folder`.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "flyte-secrets benchmark CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let service =
        ["flyte-pod-webhook", "flyte-pod-webhook.flyte", SERVER_NAME, "flyte-pod-webhook.flyte.svc.cluster.local"];
    let mut leaf = CertificateParams::new(service.map(str::to_owned))?;
    leaf.distinguished_name.push(DnType::CommonName, SERVER_NAME);
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let certificate = leaf.signed_by(&key, &issuer)?;

    let files = [("ca.crt", ca_certificate.pem()), ("tls.crt", certificate.pem()), ("tls.key", key.serialize_pem())];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// A client that trusts the CA in the PEM file `ca`, and speaks one protocol: `h2` or `http/1.1`.
///
/// # Errors
///
/// When the file cannot be read or holds no certificate.
pub fn client(ca: &Path, protocol: &str) -> Result<ClientConfig> {
    let text = fs::read(ca).with_context(|| format!("reading {}", ca.display()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        roots.add(certificate.with_context(|| format!("{} is no PEM file", ca.display()))?)?;
    }
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(client)
}

/// The crypto provider of the whole project.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
