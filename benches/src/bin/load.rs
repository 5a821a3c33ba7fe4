//! Sends one review over and over and prints rate and latencies.

#![allow(clippy::print_stdout, reason = "a program that prints its result")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use flyte_secrets_benches::certificates::{self, SERVER_NAME};
use flyte_secrets_benches::load::{Amount, Target, Until, run};

/// Sends one review over and over, each connection as fast as it is answered.
#[derive(Parser)]
struct Arguments {
    /// Where to connect to, for example 127.0.0.1:9443.
    address: SocketAddr,
    /// The CA of the server's certificate, PEM.
    #[arg(long)]
    ca: PathBuf,
    /// The review, JSON.
    #[arg(long)]
    review: PathBuf,
    /// The name in the server's certificate.
    #[arg(long, default_value = SERVER_NAME)]
    server_name: String,
    /// Path and query.
    #[arg(long, default_value = "/mutate--v1-pod?timeout=10s")]
    path: String,
    /// Connections at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Speak HTTP/2, with that many requests at a time in each connection.
    #[arg(long)]
    http2_streams: Option<usize>,
    /// How many requests in all.
    #[arg(long, conflicts_with = "seconds")]
    count: Option<u64>,
    /// How long.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let protocol = if arguments.http2_streams.is_some() { "h2" } else { "http/1.1" };
    let target = Target {
        address: arguments.address,
        server_name: arguments.server_name,
        path: arguments.path,
        tls: Arc::new(certificates::client(&arguments.ca, protocol)?),
    };
    let review = std::fs::read(&arguments.review).with_context(|| format!("reading {}", arguments.review.display()))?;
    let until = match arguments.count {
        Some(count) => Until::Count(count),
        None => Until::Time(Duration::try_from_secs_f64(arguments.seconds)?),
    };
    let amount = Amount { connections: arguments.connections, streams: arguments.http2_streams.unwrap_or(1), until };
    let report = run(&target, amount, review.into(), None).await?;
    println!(
        "{} answers in {:.2?}: {:.0}/s, p50 {:.2?}, p99 {:.2?}, not 200: {}",
        report.ok + report.not_200,
        report.elapsed,
        report.rate(),
        report.latency(0.5),
        report.latency(0.99),
        report.not_200
    );
    Ok(())
}
