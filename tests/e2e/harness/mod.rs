//! What the tests share: the test bed, the program, a client, pods.

pub(crate) mod admissions;
pub(crate) mod api;
pub(crate) mod azure;
pub(crate) mod bed;
pub(crate) mod certs;
pub(crate) mod endpoints;
pub(crate) mod fetchers;
pub(crate) mod flytekit;
pub(crate) mod identity;
pub(crate) mod load;
pub(crate) mod plain_http;
pub(crate) mod pod;
pub(crate) mod program;
pub(crate) mod realised;
pub(crate) mod relay;
pub(crate) mod review;
pub(crate) mod servers;
pub(crate) mod service;
pub(crate) mod splitter;
pub(crate) mod tasks;
pub(crate) mod wait;
pub(crate) mod webhook;

pub(crate) use api::Api;
pub(crate) use bed::{Namespace, bed};
pub(crate) use pod::{request, task_pod};
pub(crate) use wait::eventually;
pub(crate) use webhook::{Setup, Webhook};
