//! Several replicas of a webhook behind one address, as behind a Service that takes turns with every request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum_server::tls_rustls::RustlsConfig;
use http::{StatusCode, Uri};

use super::{Api, Webhook};

/// Who is behind the address.
pub(crate) struct Splitter {
    replicas: Vec<(Api, AtomicBool)>,
    turn: AtomicUsize,
}

impl Splitter {
    /// Listens on `port` with the certificate of the first of `replicas`, which all have it from the same authority.
    pub(crate) async fn listen(port: u16, replicas: &[&Webhook]) -> Arc<Self> {
        let all = replicas.iter().map(|webhook| {
            (Api::of_server(&format!("https://127.0.0.1:{}", webhook.port), &webhook.ca()), AtomicBool::new(true))
        });
        let splitter = Arc::new(Self { replicas: all.collect(), turn: AtomicUsize::new(0) });
        let certs = replicas[0].cert_dir();
        let tls = RustlsConfig::from_pem_file(certs.join("tls.crt"), certs.join("tls.key")).await.unwrap();
        let to = Arc::clone(&splitter);
        let router = Router::new().fallback(move |uri: Uri, body: Bytes| {
            let to = Arc::clone(&to);
            async move { to.forward(&uri, &body).await }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        tokio::spawn(axum_server::bind_rustls(address, tls).serve(router.into_make_service()));
        splitter
    }

    /// Whether a replica gets requests, as the endpoints of a Service do while they are ready.
    pub(crate) fn serves(&self, replica: usize, ready: bool) {
        self.replicas[replica].1.store(ready, Ordering::SeqCst);
    }

    async fn forward(&self, uri: &Uri, body: &[u8]) -> (StatusCode, [(&'static str, &'static str); 1], String) {
        let review = serde_json::from_slice(body).unwrap();
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        let count = self.replicas.len();
        let in_turn = (0..count).map(|n| &self.replicas[(turn + n) % count]);
        let (api, _) = in_turn.into_iter().find(|(_, ready)| ready.load(Ordering::SeqCst)).expect("one is ready");
        let json = [("content-type", "application/json")];
        match api.create(uri.path_and_query().unwrap().as_str(), &review).await {
            Ok(answer) => (StatusCode::OK, json, answer.to_string()),
            Err(failure) => (StatusCode::BAD_GATEWAY, json, failure.message),
        }
    }
}
