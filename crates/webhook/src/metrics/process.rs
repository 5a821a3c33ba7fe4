//! What every process tells about itself, under the names that Prometheus' own clients use.
//!
//! Source of the numbers: `proc(5)` of Linux. Elsewhere, or where `/proc` is not mounted, there are none.

use std::fmt::Error;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks a second of the times in `/proc`: `USER_HZ`, which is 100 on every architecture that we build for.
const TICKS: f64 = 100.0;

/// Reads `/proc/self` whenever metrics are asked for.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let stat = Stat::read();
        counter(
            &mut encoder,
            "process_cpu_seconds",
            "User and system CPU time",
            stat.as_ref().map(|stat| stat.cpu_seconds),
        )?;
        let gauges = [
            (
                "process_start_time_seconds",
                "When the process began, in seconds since 1970",
                stat.as_ref().and_then(Stat::start),
            ),
            (
                "process_resident_memory_bytes",
                "Memory that is really there",
                stat.as_ref().and_then(|_| status("VmRSS:")),
            ),
            (
                "process_virtual_memory_bytes",
                "Addresses that are reserved",
                stat.as_ref().and_then(|_| status("VmSize:")),
            ),
            ("process_threads", "Threads", stat.as_ref().map(|stat| stat.threads)),
            ("process_open_fds", "File descriptors that are open", open_files()),
            ("process_max_fds", "File descriptors that may be open", max_files()),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, value)?;
        }
        Ok(())
    }
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: Option<f64>) -> Result<(), Error> {
    let Some(value) = value else { return Ok(()) };
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: Option<f64>) -> Result<(), Error> {
    let Some(value) = value else { return Ok(()) };
    let metric = ConstGauge::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// What we need of `/proc/self/stat`.
struct Stat {
    cpu_seconds: f64,
    threads: f64,
    /// Seconds after the machine's start.
    started: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The fields behind the program's name, which is in brackets and may hold anything; the first of them is field 3.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (number(14)? + number(15)?) / TICKS,
            threads: number(20)?,
            started: number(22)? / TICKS,
        })
    }

    /// Seconds since 1970.
    fn start(&self) -> Option<f64> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
        Some(boot + self.started)
    }
}

/// A size in `/proc/self/status`, which has them in KiB.
fn status(name: &str) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

#[expect(clippy::cast_precision_loss, reason = "no process has that many")]
fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

fn max_files() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_may_hold_brackets_and_spaces() {
        let text = "12 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 7 0 1234 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.cpu_seconds, stat.threads, stat.started), (2.0, 7.0, 12.34));
    }

    #[test]
    fn a_line_that_breaks_off_gives_no_numbers() {
        assert!(Stat::parse("12 (a) S 1 1").is_none());
        assert!(Stat::parse("").is_none());
    }
}
