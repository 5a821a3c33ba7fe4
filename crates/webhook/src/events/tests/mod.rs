//! Events, as a fake API server sees them.

mod ledger;
mod recorded;
