//! The scripts of the test bed.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Longer than the API server may take to start.
const LIMIT: Duration = Duration::from_secs(150);

/// Runs a script of the test bed to its end, with `input` as its standard input; gives what it printed, or why it failed.
pub(crate) async fn script(name: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let run = tokio::time::timeout(LIMIT, output(name, arguments, input)).await;
    let output = run.map_err(|_| format!("{name} does not end"))?.map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{name} {arguments:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)))
}

async fn output(name: &str, arguments: &[&str], input: &str) -> std::io::Result<std::process::Output> {
    let mut command = Command::new("bash");
    command.args(["-c", ". \"$0/env.sh\"; exec \"$0/testbed/$1\" \"${@:2}\"", env!("CARGO_MANIFEST_DIR"), name]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    // A script that does not read may have ended.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await
}

/// Ends the API server and starts it again; for some seconds nobody answers.
pub(crate) async fn restart_api_server() {
    script("restart.sh", &[], "").await.unwrap();
}
