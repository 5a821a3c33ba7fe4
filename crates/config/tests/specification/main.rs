//! What the configuration promises.

#![allow(clippy::unwrap_used)]

mod errors;
mod layers;
mod properties;
mod samples;
mod support;
mod values;
