//! What is written to the log of a call.

use connectrpc::ConnectError;

use crate::failure::Failure;

/// Logs how a call for a Job went, and makes a failure one of the protocol. Failures hold names only.
pub(crate) fn told<T>(call: &'static str, job: &str, outcome: Result<T, Failure>) -> Result<T, ConnectError> {
    let outcome = outcome.map_err(ConnectError::from);
    match &outcome {
        // Flyte asks every few seconds.
        Ok(_) if matches!(call, "GetTask" | "GetTaskLogs") => tracing::debug!(call, job, "done"),
        Ok(_) => tracing::info!(call, job, "done"),
        Err(error) => {
            let (code, text) = (error.code.as_str(), error.message.as_deref().unwrap_or_default());
            tracing::warn!(call, job, code, "{text}");
        }
    }
    outcome
}
