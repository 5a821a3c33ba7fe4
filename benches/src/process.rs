//! A server as a child process, and what the kernel says about it (Linux, `/proc`).

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::body::Bytes;

use crate::load::{Target, once};

/// `/proc/PID/stat` counts in these; Linux shows 100 a second to programs on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

/// No more of a log is shown, in lines.
const LOG_LINES: usize = 20;

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    log: PathBuf,
    /// From the start of the process to its first complete answer over TLS.
    pub ready: Duration,
}

impl Server {
    /// Starts `command` and asks `target` with `review` until there is an answer. What it prints goes to the file `log`, as
    /// it would in a cluster: logging is part of what an admission costs.
    ///
    /// # Errors
    ///
    /// When the program cannot be started, ends, or does not answer in 30 s; with the end of its log.
    pub async fn start(command: &mut Command, log: &Path, target: &Target, review: Bytes) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = File::create(log).with_context(|| format!("writing {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let begun = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {program}"))?;
        let mut server = Self { child, log: log.to_owned(), ready: Duration::ZERO };
        loop {
            match once(target, review.clone()).await {
                Ok(_) => break,
                Err(error) if begun.elapsed() > START => {
                    return Err(error.context(format!("{program} does not answer")));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("{program} ended: {status}; its log:\n{}", server.end_of_log());
            }
        }
        server.ready = begun.elapsed();
        Ok(server)
    }

    /// CPU seconds that the process has used, user and system.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        // The name in brackets may hold anything, so counting starts behind it: utime and stime are fields 14 and 15.
        let (_, after_name) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks =
            |place: usize| -> Result<f64> { Ok(fields.get(place).context("/proc/PID/stat is short")?.parse()?) };
        Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
    }

    /// Resident memory now, in MB of 10^6 bytes.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn rss_mb(&self) -> Result<f64> {
        self.status_mb("VmRSS:")
    }

    /// The most resident memory so far, in MB of 10^6 bytes.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn peak_rss_mb(&self) -> Result<f64> {
        self.status_mb("VmHWM:")
    }

    /// The last lines of what the server has printed.
    #[must_use]
    pub fn end_of_log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    fn status_mb(&self, name: &str) -> Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024.0 / 1e6)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on the loopback that is free now.
///
/// # Errors
///
/// When there is none.
pub fn free_address() -> Result<SocketAddr> {
    // Below the ports that the kernel gives to outgoing connections, of which a benchmark makes many.
    static NEXT: AtomicU16 = AtomicU16::new(27_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        ensure!(port < 32_000, "there is no free port between 27000 and 32000");
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
    }
}
