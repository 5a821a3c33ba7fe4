//! The Kubernetes API as plain JSON: no typed pod may hide a field from a test.

use std::path::Path;

use futures::{Stream, StreamExt};
use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::WatchEvent;
use serde_json::Value;

/// A client of an API server, or of anything else that answers JSON over TLS.
#[derive(Clone)]
pub(crate) struct Api {
    client: kube::Client,
}

/// Why the server said no, as its client sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// An object, and the warnings that came with it.
pub(crate) type Answer = (Value, Vec<String>);

impl Api {
    /// The user and the server of a kubeconfig.
    pub(crate) async fn of_kubeconfig(file: &Path) -> Self {
        let kubeconfig = Kubeconfig::read_from(file).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Self::new(config)
    }

    /// A server at `url` whose certificate comes from the authority `ca`, in PEM.
    pub(crate) fn of_server(url: &str, ca: &str) -> Self {
        use rustls_pki_types::{CertificateDer, pem::PemObject};
        let mut config = kube::Config::new(url.parse().unwrap());
        let certificates = CertificateDer::pem_slice_iter(ca.as_bytes());
        config.root_cert = Some(certificates.map(|certificate| certificate.unwrap().to_vec()).collect());
        Self::new(config)
    }

    fn new(mut config: kube::Config) -> Self {
        // A 503 is an answer that tests look at.
        config.default_retry = false;
        Self { client: kube::Client::try_from(config).unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, "", Vec::new()).await.map(|(object, _)| object)
    }

    /// A text that is no JSON, a pod's log for example.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let request = Request::get(path).body(Vec::new()).unwrap();
        self.client.request_text(request).await.map_err(Failure::of)
    }

    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value, Failure> {
        self.create_with_warnings(path, object).await.map(|(object, _)| object)
    }

    pub(crate) async fn create_with_warnings(&self, path: &str, object: &Value) -> Result<Answer, Failure> {
        self.send(Method::POST, path, "application/json", serde_json::to_vec(object).unwrap()).await
    }

    /// Puts an object in the place of the one at `path`.
    pub(crate) async fn replace(&self, path: &str, object: &Value) -> Result<Value, Failure> {
        let body = serde_json::to_vec(object).unwrap();
        self.send(Method::PUT, path, "application/json", body).await.map(|(object, _)| object)
    }

    /// Server-side apply of an object at `path`, with force.
    #[allow(dead_code, reason = "one of the two programs uses it")]
    pub(crate) async fn apply(&self, path: &str, manager: &str, object: &Value) -> Result<Value, Failure> {
        let path = format!("{path}?fieldManager={manager}&force=true");
        let body = serde_json::to_vec(object).unwrap();
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", body).await.map(|(object, _)| object)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::DELETE, path, "", Vec::new()).await.map(|(object, _)| object)
    }

    /// Everything that happens to a kind after the revision that `path` names, until the watch ends: its type and the object.
    pub(crate) async fn watch(&self, path: &str) -> impl Stream<Item = (&'static str, Value)> + Send + use<> {
        let request = Request::get(path).body(Vec::new()).unwrap();
        let events = self.client.request_events::<Value>(request).await.unwrap();
        let until_it_breaks = events.take_while(|event| std::future::ready(event.is_ok()));
        until_it_breaks.filter_map(async |event| match event.unwrap() {
            WatchEvent::Added(object) => Some(("ADDED", object)),
            WatchEvent::Modified(object) => Some(("MODIFIED", object)),
            WatchEvent::Deleted(object) => Some(("DELETED", object)),
            WatchEvent::Bookmark(_) => None,
            WatchEvent::Error(error) => panic!("the watch ended: {error:?}"),
        })
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(path);
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let response = self.client.send(request.body(body.into()).unwrap()).await.map_err(Failure::of)?;
        let (head, body) = response.into_parts();
        let body = body.collect_bytes().await.map_err(Failure::of)?;
        if !head.status.is_success() {
            return Err(Failure::of_answer(head.status.as_u16(), &body));
        }
        let warnings = head
            .headers
            .get_all("warning")
            .iter()
            .map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned())
            .collect();
        Ok((serde_json::from_slice(&body).unwrap(), warnings))
    }
}

impl Failure {
    fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                Self { code: status.code, reason: status.reason.clone(), message: status.message.clone() }
            }
            other => Self { code: 0, reason: "no answer".to_owned(), message: format!("{other:?}") },
        }
    }

    fn of_answer(code: u16, body: &[u8]) -> Self {
        let status: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
        let message = if status.is_null() { String::from_utf8_lossy(body).into_owned() } else { text("message") };
        Self { code, reason: text("reason"), message }
    }
}
