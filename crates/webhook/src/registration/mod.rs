//! The MutatingWebhookConfiguration: what it says, and keeping it so.
//!
//! All replicas apply their fields by server-side apply, and only where something of theirs is otherwise, so that they never
//! fight, and what people add by hand stays. The bundle of CAs is what every one of them needs.

mod apply;
mod authorities;
mod bundle;
mod desired;
mod differences;
mod endpoint;
mod keep;
mod managed;
mod order;
mod plan;
mod repairs;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests_support;
mod trust;
mod unregister;
mod watching;

pub use desired::{
    FIELD_MANAGER, FailurePolicy, INJECT_CA_FROM, MatchCondition, OWN_CONDITIONS, RegistrationSettings,
    ReinvocationPolicy, WEBHOOK_NAME, desired,
};
pub use endpoint::{Endpoint, InvalidUrl, PATH};
pub use keep::{Keeping, Pace, Registration, RegistrationObserver, RegistrationState, keep_registered};
pub use order::order_warning;
pub use trust::{Found, look, trusts};
pub use unregister::{Unregistered, unregister};
