//! Errors of libraries and what lies behind them.

use std::error::Error;

/// The first error of a kind, in an error or among its causes.
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
pub(crate) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |error| (*error).source()).find_map(|error| error.downcast_ref::<T>())
}

/// An error and its causes on one line. For failures to send a request: the causes of a bad answer may quote it.
#[cfg(any(feature = "kubernetes", feature = "azure", feature = "http", feature = "vault"))]
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| (*error).source()) {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
    }
    text
}
