//! What becomes of a pod, case by case: who is asked, what is said, and when.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod codes;
mod custom;
mod delivery;
mod global;
mod limits;
mod look_ups;
mod policies;
mod words;
