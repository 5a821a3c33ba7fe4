//! What the configuration promises.

#![allow(clippy::unwrap_used)]

mod access;
mod access_rules;
mod custom_managers;
mod errors;
mod layers;
mod properties;
mod samples;
mod stores;
mod support;
mod values;
