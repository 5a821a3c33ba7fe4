//! What is written to the log of a call.

use connectrpc::ConnectError;

use crate::failure::Failure;

/// Logs how a call ended, and makes a failure one of the protocol. Failures hold names only.
pub(crate) fn told<T>(call: &'static str, outcome: Result<T, Failure>) -> Result<T, ConnectError> {
    let outcome = outcome.map_err(ConnectError::from);
    match &outcome {
        Ok(_) => tracing::info!(call, "done"),
        Err(error) => {
            tracing::warn!(call, code = error.code.as_str(), "{}", error.message.as_deref().unwrap_or_default())
        }
    }
    outcome
}
