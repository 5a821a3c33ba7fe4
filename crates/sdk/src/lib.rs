//! Where secrets are read: by tasks ([`tasks`]), by plugins ([`plugins`]) and by SQL tasks (`sql`, a feature); [`testing`]
//! stands in for them in tests.

pub mod plugins;
#[cfg(feature = "sql")]
pub mod sql;
pub mod tasks;
pub mod testing;

/// The examples of the page on this crate are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/sdk.md")]
pub struct Page;
