//! The client, and an answer as bytes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, Identity, Method, Url};
use zeroize::{Zeroize, Zeroizing};

use super::{MAX_ANSWER, SettingsError, TlsFiles};
use crate::causes::with_causes;
use crate::fetcher::{FailureClass, FetchError};

/// How a connection finds its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    /// Only `http://` will be asked, so no roots are needed: an image without any is fine.
    pub(crate) plain: bool,
    /// The proxies of the environment are not used.
    pub(crate) no_proxy: bool,
    /// Addresses for host names, instead of the DNS.
    pub(crate) hosts: Vec<(String, SocketAddr)>,
    /// The longest wait for a connection; without it only the caller's deadline counts.
    pub(crate) connect_timeout: Option<Duration>,
}

/// One request.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Zeroizing<Vec<u8>>>,
}

/// An answer, at most [`MAX_ANSWER`] bytes.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// What the server says about when to come back, for people: how long to wait is the caller's decision.
    pub(crate) fn retry_after(&self) -> String {
        let advice = self.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        advice.map_or_else(String::new, |advice| format!(", Retry-After: {advice}"))
    }
}

/// A client that is made anew when the files of its certificates change.
pub(crate) struct Https {
    files: TlsFiles,
    network: Network,
    held: Mutex<Held>,
}

struct Held {
    client: Client,
    changed: Vec<Option<SystemTime>>,
}

impl Https {
    pub(crate) fn new(files: TlsFiles, network: Network) -> Result<Self, SettingsError> {
        let held = Held { changed: files.changed(), client: client(&files, &network)? };
        Ok(Self { files, network, held: Mutex::new(held) })
    }

    /// Sends one request and reads its answer, whatever its status.
    ///
    /// # Errors
    /// [`FailureClass::Unavailable`] without an answer, [`FailureClass::Malformed`] for one that is too large.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, FetchError> {
        let mut request = self.client()?.request(call.method, call.url).headers(call.headers);
        if let Some(body) = call.body {
            request = request.body(Bytes::from_owner(body));
        }
        let mut answer = request.send().await.map_err(|error| no_answer("cannot be reached", error))?;
        let mut chunks = Chunks::default();
        while let Some(chunk) = answer.chunk().await.map_err(|error| no_answer("broke off its answer", error))? {
            chunks.push(chunk)?;
        }
        Ok(Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body: chunks.joined() })
    }

    /// The client, with the certificates as they are now in their files.
    fn client(&self) -> Result<Client, FetchError> {
        let changed = self.files.changed();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.changed != changed {
            let client = client(&self.files, &self.network)
                .map_err(|error| FetchError::new(FailureClass::Unavailable, error.to_string()))?;
            *held = Held { client, changed };
        }
        Ok(held.client.clone())
    }
}

impl TlsFiles {
    /// When each file was changed last.
    fn changed(&self) -> Vec<Option<SystemTime>> {
        let client = self.client.iter().flat_map(|(certificate, key)| [certificate, key]);
        let modified = |path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        self.ca.iter().chain(client).map(modified).collect()
    }
}

fn client(files: &TlsFiles, network: &Network) -> Result<Client, SettingsError> {
    let mut builder = Client::builder()
        .user_agent(concat!("flyte-secrets/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .http1_only();
    if network.no_proxy {
        builder = builder.no_proxy();
    }
    if let Some(timeout) = network.connect_timeout {
        builder = builder.connect_timeout(timeout);
    }
    for (host, address) in &network.hosts {
        builder = builder.resolve(host, *address);
    }
    if network.plain {
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = &files.ca {
        builder = builder.tls_certs_merge(roots(path)?);
    }
    if let Some((certificate, key)) = &files.client {
        builder = builder.identity(identity(certificate, key)?);
    }
    builder.build().map_err(|error| SettingsError::Client(with_causes(&error)))
}

fn roots(path: &Path) -> Result<Vec<Certificate>, SettingsError> {
    let wrong = |problem: String| SettingsError::File { path: path.to_owned(), problem };
    let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let roots = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(with_causes(&error)))?;
    if roots.is_empty() { Err(wrong("holds no certificate in PEM".to_owned())) } else { Ok(roots) }
}

/// The parser's words are not passed on: they might quote the key.
fn identity(certificate: &Path, key: &Path) -> Result<Identity, SettingsError> {
    let wrong = |path: &Path, problem: String| SettingsError::File { path: path.to_owned(), problem };
    let read = |path: &Path| fs::read(path).map(Zeroizing::new).map_err(|error| wrong(path, error.to_string()));
    let both = Zeroizing::new([&read(certificate)?[..], b"\n", &read(key)?[..]].concat());
    let problem = format!("with the key in {} it is no certificate and private key in PEM", key.display());
    Identity::from_pem(&both).map_err(|_| wrong(certificate, problem))
}

/// The pieces of an answer, wiped where nobody else holds them.
#[derive(Default)]
struct Chunks {
    pieces: Vec<Bytes>,
    length: usize,
}

impl Chunks {
    fn push(&mut self, piece: Bytes) -> Result<(), FetchError> {
        self.length += piece.len();
        self.pieces.push(piece);
        if self.length <= MAX_ANSWER {
            return Ok(());
        }
        Err(FetchError::new(FailureClass::Malformed, format!("the answer exceeds {MAX_ANSWER} bytes")))
    }

    fn joined(mut self) -> Zeroizing<Vec<u8>> {
        // Of its full size from the start, so that growing leaves no copies behind.
        let mut body = Zeroizing::new(Vec::with_capacity(self.length));
        self.pieces.iter().for_each(|piece| body.extend_from_slice(piece));
        self.length = 0;
        body
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        for piece in self.pieces.drain(..) {
            if let Ok(mut piece) = piece.try_into_mut() {
                piece.zeroize();
            }
        }
    }
}

/// A request without an answer. The URL is left out: it holds the id, which the caller names.
fn no_answer(what: &str, error: reqwest::Error) -> FetchError {
    let class = if error.is_timeout() && !error.is_connect() { FailureClass::Late } else { FailureClass::Unavailable };
    FetchError::new(class, format!("the server {what}: {}", with_causes(&error.without_url())))
}
