//! What an admission costs. Three programs share this:
//!
//! * `load` sends reviews as fast as they are answered and prints rate and latencies;
//! * `null-webhook` reads a review and allows it: the cost of TLS and HTTP alone, the limit of the stack;
//! * `admissions` starts the webhook and `null-webhook` in turn, drives both with [`load`] and prints the figures.

pub mod certificates;
pub mod load;
pub mod process;
