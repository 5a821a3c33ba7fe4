//! The server as its callers see it: without sockets where that is enough, else on the loopback.

#![allow(clippy::unwrap_used)]

mod router;
mod shutdown;
mod sockets;
mod status;
mod support;
