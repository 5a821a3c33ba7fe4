//! The built program as people and scripts use it: arguments, standard input and files in; standard output, standard
//! error and an exit code out.
#![allow(clippy::unwrap_used, missing_docs)]

mod annotations;
mod config;
mod dev;
mod documentation;
mod exec;
mod explain;
mod get;
mod inject;
mod leaks;
mod names_and_help;
#[path = "../../../core/tests/common/normalised.rs"]
mod normalised;
mod odd_input;
mod program;
mod propagate;
mod secret;
mod surroundings;
mod vectors;
