//! Certificates that rotate by themselves: CAs that all replicas share in a Secret, and a serving certificate that each
//! replica makes for itself and keeps in memory only.
//!
//! Every replica reads the Secret every few seconds and decides by [`timeline`] alone what to sign by, what to register and what the
//! Secret shall hold next. The leader writes that; if it does not in time, because there is no leader or it may not, any other does.
//! Each write has the `resourceVersion` that was read as its precondition, so it does not matter who writes, nor whether two do.

mod authority;
mod document;
mod known;
mod leaf;
mod rotation;
mod shared;
mod timeline;

pub use rotation::{AutoSettings, Rotation};
pub use shared::AutoError;
pub use timeline::Lifetimes;
