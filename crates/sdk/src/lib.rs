//! Where secrets are read: by tasks ([`tasks`]) and by plugins ([`plugins`]).

pub mod plugins;
#[cfg(feature = "sql")]
pub mod sql;
pub mod tasks;
