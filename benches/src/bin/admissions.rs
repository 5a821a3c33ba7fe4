//! What an admission costs: the webhook and the server that does nothing, in turn, under the same load.
//!
//! Both are processes of their own with certificates on disk; there is no API server. CPU time is that of the server's
//! process for a fixed number of reviews at full load, so it does not depend on how fast the client is. Answers are
//! checked, times never are: a machine is noisy, and what counts is the ratio of the two.

#![allow(clippy::print_stdout, reason = "a program that prints its figures")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::body::Bytes;
use clap::Parser;
use data_encoding::BASE64;
use flyte_secrets_benches::certificates::{self, NAMESPACE, SERVER_NAME};
use flyte_secrets_benches::load::{Amount, Target, Until, once, run};
use flyte_secrets_benches::process::{Server, free_address};
use http::StatusCode;
use serde_json::Value;

/// A pod of a Flyte task, 12 KB, with three requests, as an API server sends it.
const TASK12K: &[u8] = include_bytes!("../../reviews/task12k.json");

/// Measures what an admission costs, and prints one line `figure: NAME = VALUE UNIT` for each result.
#[derive(Parser)]
struct Arguments {
    /// Fewer reviews and starts: enough to see that everything works, and figures that are rough.
    #[arg(long)]
    short: bool,
    /// The program `flyte-secrets`; by default the one next to this program.
    #[arg(long)]
    webhook: Option<PathBuf>,
    /// Measure the server that does nothing alone.
    #[arg(long)]
    null_only: bool,
    /// Rounds of each server, in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Reviews of one round.
    #[arg(long)]
    count: Option<u64>,
    /// Speak HTTP/2, 4 connections with 8 requests at a time, instead of HTTP/1.1 with 32 connections.
    #[arg(long)]
    http2: bool,
}

/// How much is measured.
struct Plan {
    rounds: usize,
    starts: usize,
    amount: Amount,
    protocol: &'static str,
}

impl Plan {
    fn new(arguments: &Arguments) -> Self {
        let count = arguments.count.unwrap_or(if arguments.short { 5_000 } else { 40_000 });
        let (connections, streams, protocol) = if arguments.http2 { (4, 8, "h2") } else { (32, 1, "http/1.1") };
        Self {
            rounds: arguments.rounds.max(1),
            starts: if arguments.short { 3 } else { 9 },
            amount: Amount { connections, streams, until: Until::Count(count) },
            protocol,
        }
    }
}

/// One of the two servers.
struct Subject {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    target: Target,
    /// Whether an answer is what this server should say.
    check: fn(&Value) -> Result<()>,
}

impl Subject {
    fn null(folder: &Path, protocol: &str) -> Result<Self> {
        let address = free_address()?;
        let arguments = vec![format!("--cert-dir={}", folder.display()), format!("--port={}", address.port())];
        let target = target(folder, protocol, address)?;
        let log = folder.join("null.log");
        Ok(Self { name: "null", program: beside("null-webhook")?, arguments, log, target, check: allowed })
    }

    fn webhook(program: PathBuf, folder: &Path, protocol: &str) -> Result<Self> {
        let (address, metrics) = (free_address()?, free_address()?);
        let arguments = [
            "webhook".to_owned(),
            format!("--webhook.certDir={}", folder.display()),
            "--webhook.disableCreateMutatingWebhookConfig=true".to_owned(),
            "--webhook.secretManagerTypes=K8s".to_owned(),
            // There is no cluster, and the K8s manager delivers by reference anyhow.
            "--webhook.delivery=PodSpec".to_owned(),
            "--webhook.cacheInvalidationPort=0".to_owned(),
            format!("--webhook.listenPort={}", address.port()),
            format!("--webhook.metricsPort={}", metrics.port()),
        ];
        let target = target(folder, protocol, address)?;
        let log = folder.join("webhook.log");
        Ok(Self { name: "webhook", program, arguments: arguments.into(), log, target, check: patched })
    }

    async fn start(&self) -> Result<Server> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("POD_NAMESPACE", NAMESPACE);
        // No API server: none of the machine's may be asked by accident.
        command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST").env("HOME", "/nonexistent");
        Server::start(&mut command, &self.log, &self.target, Bytes::from_static(TASK12K)).await
    }

    /// The answer of this server, checked. Every later one has to have the same bytes.
    async fn answer(&self) -> Result<Bytes> {
        let (status, body) = once(&self.target, Bytes::from_static(TASK12K)).await?;
        let text = String::from_utf8_lossy(&body);
        ensure!(status == StatusCode::OK, "{} answers {status}: {text}", self.name);
        let answer = serde_json::from_slice(&body).with_context(|| format!("{} answers no JSON", self.name))?;
        (self.check)(&answer).with_context(|| format!("{} answers {text}", self.name))?;
        Ok(body)
    }

    /// CPU seconds of the server for 1,000 reviews, at full load.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    async fn round(&self, server: &Server, amount: Amount, expected: &Bytes) -> Result<f64> {
        let before = server.cpu_seconds()?;
        let report = run(&self.target, amount, Bytes::from_static(TASK12K), Some(expected.clone())).await?;
        let cpu = server.cpu_seconds()? - before;
        ensure!(report.not_200 == 0, "{} of {}'s answers were not 200", report.not_200, self.name);
        ensure!(report.different == 0, "{} of {}'s answers differ from the first", report.different, self.name);
        let per_1000 = cpu * 1000.0 / report.ok as f64;
        println!(
            "{:8} {:.4} CPU s per 1,000, {:.0}/s, p50 {:.2?}, p99 {:.2?}",
            self.name,
            per_1000,
            report.rate(),
            report.latency(0.5),
            report.latency(0.99)
        );
        Ok(per_1000)
    }
}

fn target(folder: &Path, protocol: &str, address: SocketAddr) -> Result<Target> {
    Ok(Target {
        address,
        server_name: SERVER_NAME.to_owned(),
        path: "/mutate--v1-pod?timeout=10s".to_owned(),
        tls: Arc::new(certificates::client(&folder.join("ca.crt"), protocol)?),
    })
}

/// A program in the folder of this one, where cargo puts those of one workspace.
fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.is_file(), "{} is not there: build it with `cargo build --release`", path.display());
    Ok(path)
}

fn allowed(answer: &Value) -> Result<()> {
    ensure!(answer["response"]["uid"] == uid()?, "another uid");
    ensure!(answer["response"]["allowed"] == true, "not allowed");
    Ok(())
}

/// Allowed, with a patch that puts the three Secrets of the review into the pod.
fn patched(answer: &Value) -> Result<()> {
    allowed(answer)?;
    ensure!(answer["response"]["patchType"] == "JSONPatch", "no JSON patch");
    let patch = answer["response"]["patch"].as_str().context("no patch")?;
    let patch = String::from_utf8(BASE64.decode(patch.as_bytes())?)?;
    let operations: Vec<Value> = serde_json::from_str(&patch)?;
    ensure!(!operations.is_empty(), "the patch is empty");
    for part in ["snowflake-credentials", "SNOWFLAKE_PASSWORD", "openai", "gcp-service-account/credentials.json"] {
        ensure!(patch.contains(part), "{part} is not in the patch {patch}");
    }
    Ok(())
}

fn uid() -> Result<Value> {
    let review: Value = serde_json::from_slice(TASK12K)?;
    Ok(review["request"]["uid"].clone())
}

/// Minimum, median and maximum.
fn spread(mut values: Vec<f64>) -> Result<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    let (first, last) = (values.first().context("nothing was measured")?, values.last().context("nothing")?);
    Ok([*first, values[values.len() / 2], *last])
}

fn figure(name: &str, values: Vec<f64>, digits: usize, unit: &str) -> Result<()> {
    let [least, median, most] = spread(values)?;
    println!("{name}: min {least:.digits$}, median {median:.digits$}, max {most:.digits$}");
    println!("figure: {name} = {median:.digits$} {unit}");
    Ok(())
}

/// Memory when idle, and the time to the first answer, each over a few fresh starts.
async fn starts(subject: &Subject, plan: &Plan) -> Result<()> {
    let (mut ready, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..plan.starts {
        let server = subject.start().await?;
        ready.push(server.ready.as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(300)).await;
        idle.push(server.rss_mb()?);
    }
    figure("rss_idle_mb", idle, 1, "MB")?;
    figure("webhook_ready_ms", ready, 0, "ms")
}

async fn rounds(subjects: &[Subject], plan: &Plan) -> Result<()> {
    let mut running = Vec::new();
    for subject in subjects {
        let server = subject.start().await?;
        let expected = subject.answer().await?;
        let warm_up = Amount { until: Until::Count(1_000), ..plan.amount };
        run(&subject.target, warm_up, Bytes::from_static(TASK12K), None).await?;
        running.push((subject, server, expected, Vec::new()));
    }
    for _ in 0..plan.rounds {
        for (subject, server, expected, measured) in &mut running {
            measured.push(subject.round(server, plan.amount, expected).await?);
        }
    }
    for (subject, server, _, measured) in running {
        let name = if subject.name == "null" { "null_cpu_s_per_1000_task12k" } else { "cpu_s_per_1000_task12k" };
        figure(name, measured, 4, "s")?;
        if subject.name == "webhook" {
            figure("rss_peak_mb", vec![server.peak_rss_mb()?], 1, "MB")?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plan = Plan::new(&arguments);
    let folder = tempfile::tempdir()?;
    certificates::write(folder.path())?;
    let mut subjects = vec![Subject::null(folder.path(), plan.protocol)?];
    if !arguments.null_only {
        let program = arguments.webhook.map_or_else(|| beside("flyte-secrets"), Ok)?;
        let webhook = Subject::webhook(program, folder.path(), plan.protocol)?;
        starts(&webhook, &plan).await?;
        subjects.insert(0, webhook);
    }
    rounds(&subjects, &plan).await
}
