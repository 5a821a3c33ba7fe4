//! What the service counts, in the text format of OpenMetrics. No name of a secret, domain or project is a label.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The content type of [`Metrics::text`], as OpenMetrics 1.0 defines it.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds. A write is a few round trips to a store.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The methods that have a label of their own.
const METHODS: [&str; 6] =
    ["CreateSecret", "UpdateSecret", "GetSecret", "ListSecrets", "DeleteSecret", "SelectCluster"];

type Labels<const N: usize> = [(&'static str, &'static str); N];

struct Inner {
    registry: Mutex<Registry>,
    requests: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram>,
    invalidations: Family<Labels<1>, Counter>,
    connections: Gauge,
    authentications: Family<Labels<2>, Counter>,
    denials: Family<Labels<1>, Counter>,
}

/// The service's metrics; clones count into the same series.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

impl Metrics {
    /// Makes the registry; every name begins with `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let inner = Inner {
            registry: Mutex::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            invalidations: Family::default(),
            connections: Gauge::default(),
            authentications: Family::default(),
            denials: Family::default(),
        };
        let metrics = Self { inner: Arc::new(inner) };
        let Inner { requests, durations, invalidations, connections, authentications, denials, .. } = &*metrics.inner;
        let mut registry = metrics.registry();
        let name = |name: &str| format!("{prefix}secret_service_{name}");
        registry.register(name("requests"), "Calls by method and code", requests.clone());
        registry.register_with_unit(name("request_duration"), "How long calls took", Unit::Seconds, durations.clone());
        registry.register(
            name("invalidations"),
            "What became of telling a replica of the webhook that a secret has changed",
            invalidations.clone(),
        );
        registry.register(name("connections"), "Open connections", connections.clone());
        registry.register(
            name("authentications"),
            "Callers by the mode in which they showed who they are, or tried to, and the result",
            authentications.clone(),
        );
        registry.register(name("denials"), "Calls that no rule permits, by verb", denials.clone());
        registry.register(name("build"), "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        drop(registry);
        for verb in ["read", "write"] {
            let _ = metrics.inner.denials.get_or_create(&[("verb", verb)]);
        }
        for method in METHODS {
            let _ = metrics.inner.requests.get_or_create(&[("method", method), ("code", "ok")]);
        }
        metrics
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Only a metric whose own encoding fails, or a full `fmt::Write`, could be an error; a `String` is never full.
        let _ = encode(&mut text, &self.registry());
        text
    }

    /// A call ended; `path` is that of the procedure.
    pub(crate) fn request(&self, path: &str, code: &'static str, duration: Duration) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let method = METHODS.into_iter().find(|method| *method == name).unwrap_or("other");
        self.inner.requests.get_or_create(&[("method", method), ("code", code)]).inc();
        self.inner.durations.get_or_create(&[("method", method)]).observe(duration.as_secs_f64());
    }

    /// A replica of the webhook was told, or could not be.
    pub(crate) fn invalidation(&self, outcome: &'static str) {
        self.inner.invalidations.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Somebody showed who it is (`ok`), or tried to.
    pub(crate) fn authentication(&self, mode: &'static str, result: &'static str) {
        self.inner.authentications.get_or_create(&[("mode", mode), ("result", result)]).inc();
    }

    /// A call was not permitted; `path` is that of the procedure.
    pub(crate) fn denial(&self, path: &str) {
        let is_read = ["/GetSecret", "/ListSecrets"].iter().any(|method| path.ends_with(method));
        self.inner.denials.get_or_create(&[("verb", if is_read { "read" } else { "write" })]).inc();
    }

    /// A connection was opened; it is counted as open until this is dropped.
    pub(crate) fn connection(&self) -> OpenConnection {
        self.inner.connections.inc();
        OpenConnection(self.inner.connections.clone())
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.inner.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// An open connection.
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
