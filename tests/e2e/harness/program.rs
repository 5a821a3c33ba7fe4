//! The built program.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// `FLYTE_SECRETS_BIN`, or what `cargo build` made beside these tests.
pub(crate) fn path() -> PathBuf {
    let built = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("../debug/flyte-secrets");
    let path = std::env::var_os("FLYTE_SECRETS_BIN").map_or_else(built, PathBuf::from);
    assert!(path.exists(), "{} is not there: run `make build` first", path.display());
    path
}

/// A program of Prometheus: `prometheus` or `promtool`.
pub(crate) fn of_prometheus(name: &str) -> PathBuf {
    let folder = std::env::var_os("FLYTE_SECRETS_PROMETHEUS");
    let folder = folder.expect("FLYTE_SECRETS_PROMETHEUS is not set: export it with `$prometheus` of tests/env.sh");
    PathBuf::from(folder).join(name)
}

/// A program with an environment of its own: nothing of the machine's configuration reaches it. It ends when the
/// test does, however that ends.
pub(crate) fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command.env_clear().args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["PATH", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs a command to its end, at most a minute.
pub(crate) async fn run(mut command: Command) -> Output {
    tokio::time::timeout(Duration::from_secs(60), command.output()).await.expect("the program does not end").unwrap()
}

/// Runs a command that must succeed; gives its standard output.
pub(crate) async fn run_ok(command: Command) -> String {
    let output = run(command).await;
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
