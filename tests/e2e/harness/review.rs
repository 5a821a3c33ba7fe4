//! Asking a webhook directly, as an API server would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};

/// The path that the API server asks.
pub(crate) const PATH: &str = "/mutate--v1-pod";

/// An AdmissionReview (v1) of the creation of a pod.
pub(crate) fn review(namespace: &str, pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["namespace"] = json!(namespace);
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "c0ffee00-0000-4000-8000-000000000001",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE", "namespace": namespace, "name": pod["metadata"]["name"],
            "userInfo": {"username": "system:serviceaccount:flyte:flytepropeller"},
            "dryRun": false, "object": pod,
        },
    })
}

/// The operations of an answer's patch.
pub(crate) fn patch(answer: &Value) -> Vec<Value> {
    assert_eq!(answer["response"]["allowed"], true, "{answer}");
    let Some(text) = answer["response"]["patch"].as_str() else { return Vec::new() };
    serde_json::from_slice(&BASE64.decode(text.as_bytes()).unwrap()).unwrap()
}

/// A request whose body is sent in two parts, so that something can happen in between.
pub(crate) struct Halved {
    stream: rustls::StreamOwned<rustls::ClientConnection, TcpStream>,
    rest: Vec<u8>,
}

impl Halved {
    /// Connects, and sends everything but the second half of the body. Blocks.
    pub(crate) fn begin(port: u16, ca: &str, body: &Value) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(ca.as_bytes()).map(Result::unwrap));
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, socket);

        let mut body = body.to_string().into_bytes();
        let head = format!(
            "POST {PATH}?timeout=10s HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let rest = body.split_off(body.len() / 2);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        stream.flush().unwrap();
        Self { stream, rest }
    }

    /// Sends the rest and gives the whole answer, head and all. Blocks.
    pub(crate) fn finish(mut self) -> std::io::Result<String> {
        self.stream.write_all(&self.rest)?;
        self.stream.flush()?;
        let mut answer = Vec::new();
        match self.stream.read_to_end(&mut answer) {
            // A server that ends need not say goodbye in TLS.
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => return Err(error),
            _ => {}
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
