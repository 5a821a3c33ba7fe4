//! The Secret service: over the Secrets of a real API server, with the rights that its documentation names, and over the local
//! store; asked by Flyte's own command line, by gRPC's own client, and by curl.

mod client;
mod crashes;
mod pods;
mod process;
mod protocols;
mod writers;
