//! Where secrets are read: by tasks ([`tasks`]) and by plugins ([`plugins`]); [`testing`] stands in for them in tests.

pub mod plugins;
pub mod tasks;
pub mod testing;

/// The examples of the page on this crate are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/sdk.md")]
pub struct Page;
