//! The admission webhook: reviews in, patches out.

pub mod certificates;
pub mod kubernetes;
pub mod metrics;
pub mod registration;
pub mod server;
