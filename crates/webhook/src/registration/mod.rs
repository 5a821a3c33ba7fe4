//! The MutatingWebhookConfiguration: what it says, and keeping it so.
//!
//! All replicas apply the same document by server-side apply, so that they never fight, and what people add by
//! hand stays.

mod apply;
mod desired;
mod keep;

pub use apply::apply;
pub use desired::{Endpoint, FIELD_MANAGER, InvalidUrl, PATH, RegistrationSettings, WEBHOOK_NAME, desired};
pub use keep::{Pace, Registration, RegistrationState, keep_registered};
