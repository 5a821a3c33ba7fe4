//! The command: its environment, its signals and its end.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::task::Poll;

use anyhow::{Result, bail};
use flyte_secrets_core::value::SecretValue;
use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::args::ExecArgs;
use super::outfit::Outfit;
use crate::output::Message;

/// As shells have it (POSIX, "Exit Status for Commands").
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// What a command gets with `--clean-env`, beside everything that starts with `LC_`.
const PLAIN: [&str; 10] = ["HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// The command with its environment; nothing is started.
pub(super) fn command(args: &ExecArgs, outfit: &Outfit, folder: Option<&Path>) -> Result<Command> {
    let (program, arguments) = args.command.split_first().ok_or_else(|| anyhow::anyhow!("there is no command"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    if args.clean_env {
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| is_plain(name)));
    }
    for (name, value) in &outfit.variables {
        command.env(name, text(name, value)?);
    }
    if let Some(folder) = folder {
        for (name, path) in &outfit.paths {
            command.env(name, if path.is_empty() { folder.to_owned() } else { folder.join(path) });
        }
    }
    Ok(command)
}

fn is_plain(name: &OsStr) -> bool {
    PLAIN.iter().any(|plain| name == *plain) || name.as_bytes().starts_with(b"LC_")
}

fn text<'v>(name: &str, value: &'v SecretValue) -> Result<&'v OsStr> {
    let bytes = value.expose_bytes();
    if bytes.contains(&0) {
        bail!(
            "the value of the variable {name} has a NUL character, which no variable can hold; ask for a file (:file)"
        );
    }
    Ok(OsStr::from_bytes(bytes))
}

/// Runs a command to its end; gives the exit code, as a shell would.
pub(super) async fn run(mut command: Command, signals: &mut Signals) -> u8 {
    let program = command.as_std().get_program().to_owned();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return not_started(&program, &error),
    };
    // It holds values.
    drop(command);
    loop {
        tokio::select! {
            status = child.wait() => return status.map_or(CANNOT_RUN, exit_code),
            received = signals.next() => {
                // The terminal has told the command itself.
                let told = matches!(received, Signal::INT | Signal::QUIT) && in_foreground();
                if let Some(pid) = child.id().filter(|_| !told).and_then(|pid| Pid::from_raw(pid.cast_signed())) {
                    // It may have ended a moment ago.
                    let _ = kill_process(pid, received);
                }
            }
        }
    }
}

fn not_started(program: &OsString, error: &io::Error) -> u8 {
    let name = program.display();
    let (code, why) = match error.kind() {
        ErrorKind::NotFound => (NOT_FOUND, "there is no such command"),
        ErrorKind::PermissionDenied => (CANNOT_RUN, "it is not executable, or a folder"),
        ErrorKind::ArgumentListTooLong => {
            (CANNOT_RUN, "its variables and arguments are too large for this system; ask for files (:file)")
        }
        _ => (CANNOT_RUN, ""),
    };
    let why = if why.is_empty() { error.to_string() } else { why.to_owned() };
    Message::Error { message: &format!("cannot run {name}: {why}") }.tell(false);
    code
}

/// The command's own code; 128 and its number for a signal.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Whether our process group has the terminal: what is typed there then reaches the whole group.
fn in_foreground() -> bool {
    let terminal = std::fs::File::open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
}

/// The signals that are passed on.
pub(super) struct Signals(Vec<(Signal, tokio::signal::unix::Signal)>);

impl Signals {
    /// From now on they do not end this process. Those that it was started to ignore, by nohup(1) say, stay ignored, and the
    /// command ignores them too.
    pub(super) fn new() -> io::Result<Self> {
        let all = [
            (Signal::TERM, SignalKind::terminate()),
            (Signal::INT, SignalKind::interrupt()),
            (Signal::HUP, SignalKind::hangup()),
            (Signal::QUIT, SignalKind::quit()),
            (Signal::USR1, SignalKind::user_defined1()),
            (Signal::USR2, SignalKind::user_defined2()),
        ];
        let ignored = ignored();
        let ours = all.into_iter().filter(|(number, _)| ignored & (1 << (number.as_raw() - 1)) == 0);
        Ok(Self(ours.map(|(number, kind)| Ok((number, signal(kind)?))).collect::<io::Result<_>>()?))
    }

    /// The next one that arrives.
    pub(super) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (number, signals) in &mut self.0 {
                if signals.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The exit code of a process that the signal ended.
    pub(super) fn code(number: Signal) -> u8 {
        u8::try_from(128 + number.as_raw()).unwrap_or(u8::MAX)
    }
}

/// The signals that this process ignores, a bit each (proc_pid_status(5), `SigIgn`); none where nobody tells.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
