//! Where secrets are read: by tasks ([`tasks`]) and by plugins ([`plugins`]).

pub mod plugins;
pub mod tasks;
#[cfg(feature = "sql")]
pub mod sql;
