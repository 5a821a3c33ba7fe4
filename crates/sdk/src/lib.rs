//! Where secrets are read: by tasks ([`tasks`]), by plugins ([`plugins`]) and by SQL tasks (`sql`, a feature).

pub mod plugins;
#[cfg(feature = "sql")]
pub mod sql;
pub mod tasks;
