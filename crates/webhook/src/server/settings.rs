//! What the server is told: ports, times and bounds.

use std::net::IpAddr;
use std::time::Duration;

/// Ports and times, from the `webhook` section of the configuration.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The address to listen at. `None` is every address of the machine, IPv6 and IPv4.
    pub address: Option<IpAddr>,
    /// `webhook.listenPort`, for reviews over TLS; 0 takes any free port.
    pub listen_port: u16,
    /// `webhook.metricsPort`, plain HTTP; 0 takes any free port.
    pub metrics_port: u16,
    /// `webhook.webhookTimeout`: how long a caller waits that does not say so itself.
    pub webhook_timeout: Duration,
    /// `webhook.shutdownDelay`: how long the server goes on after it was told to stop, no longer ready. Longer than Kubernetes
    /// takes to tell every API server that this replica is gone.
    pub shutdown_delay: Duration,
    /// Bounds that are not configured.
    pub limits: Limits,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            address: None,
            listen_port: 9443,
            metrics_port: 10254,
            webhook_timeout: Duration::from_secs(30),
            shutdown_delay: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

/// What one caller, and all of them together, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one review. An API server takes objects of 3 MiB; a review may hold two of them.
    pub body: usize,
    /// Bytes of all reviews that are being read or answered. Each counts at least 64 KiB, so this bounds their number
    /// too: 1,024 with the default.
    pub bodies: usize,
    /// Time to send the body of a request.
    pub body_read: Duration,
    /// Bytes of a request's headers.
    pub header: usize,
    /// Time to send the headers of an HTTP/1.1 request, from their first byte.
    pub header_read: Duration,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time without a request after which a connection is ended. Longer than the 90 s after which Go's HTTP client,
    /// and so the API server, gives up an idle connection: the side that sends requests should be the one that closes.
    pub idle: Duration,
    /// Connections at a time, for each port.
    pub connections: usize,
    /// Requests at a time in one HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 8 << 20,
            bodies: 64 << 20,
            body_read: Duration::from_secs(5),
            header: 32 << 10,
            header_read: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(130),
            connections: 1024,
            streams: 250,
        }
    }
}
