//! What the tests of the cluster share, besides the harness of the end-to-end tests.

pub(crate) mod audit;
pub(crate) mod dns;
pub(crate) mod grants;
pub(crate) mod helm;
pub(crate) mod image;
pub(crate) mod installed;
pub(crate) mod kubectl;
pub(crate) mod load;
pub(crate) mod processes;
pub(crate) mod tasks;
pub(crate) mod testbed;
pub(crate) mod workload;
