//! Standard output and standard error: results, warnings and refusals.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

/// Prints a result, byte for byte.
pub(crate) fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// Prints a result that need not be text.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    write(std::io::stdout().lock(), bytes)
}

/// Prints text for people. Colours, and with them every control character, are dropped where there is no terminal.
pub(crate) fn print_coloured(text: &str) -> Result<()> {
    write(anstream::stdout().lock(), text.as_bytes())
}

/// A reader that has gone away (`| head`) is no error worth a word.
fn write(mut out: impl Write, bytes: &[u8]) -> Result<()> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Prints data as JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Something that a person should know, beside the result.
#[derive(Debug, Serialize)]
#[serde(tag = "level", rename_all = "lowercase")]
pub(crate) enum Message<'a> {
    /// Nothing went wrong.
    Note {
        /// The sentence.
        message: &'a str,
    },
    /// It goes on, but perhaps not as meant.
    Warning {
        /// The sentence.
        message: &'a str,
    },
    /// A pod is refused.
    Refusal {
        /// `Kind namespace/name`.
        object: &'a str,
        /// As in the webhook's answer.
        code: u16,
        /// As in the webhook's answer.
        reason: &'static str,
        /// As in the webhook's answer.
        message: &'a str,
    },
    /// The command failed.
    Error {
        /// The sentence.
        message: &'a str,
    },
}

impl Message<'_> {
    /// Writes the message to standard error, as one JSON line or as text.
    pub(crate) fn tell(&self, as_json: bool) {
        let line = match (as_json, self) {
            (true, message) => serde_json::to_string(message).unwrap_or_default(),
            (false, Self::Note { message }) => format!("{}: {message}", label("note", anstyle::AnsiColor::Cyan)),
            (false, Self::Warning { message }) => {
                format!("{}: {message}", label("warning", anstyle::AnsiColor::Yellow))
            }
            (false, Self::Refusal { object, code, message, .. }) => {
                format!("{} ({code}): {object}: {message}", label("refused", anstyle::AnsiColor::Red))
            }
            (false, Self::Error { message }) => format!("{}: {message}", label("error", anstyle::AnsiColor::Red)),
        };
        // Nobody is left to tell if standard error is gone.
        let _ = writeln!(anstream::stderr(), "{line}");
    }
}

/// A coloured word; `anstream` drops the colour where there is no terminal.
pub(crate) fn label(word: &str, color: anstyle::AnsiColor) -> String {
    let style = color.on_default().bold();
    format!("{style}{word}{style:#}")
}
