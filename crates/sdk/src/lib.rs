//! Where secrets are read: by tasks ([`tasks`]) and by plugins ([`plugins`]); [`testing`] stands in for them in tests.

pub mod plugins;
pub mod tasks;
pub mod testing;
