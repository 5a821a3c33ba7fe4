//! End to end: the built program with a real API server, a real kubelet and Flyte's own SDK.
//!
//! Every test runs its own webhook for its own namespace, so they can run side by side.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod harness;

mod access;
mod certificates;
mod certificates_auto;
mod chart;
mod check_exists;
mod connector;
mod custom_managers;
mod dashboard;
mod doctor;
mod events;
mod exec;
mod flyte1;
mod flyte2_sdk;
mod flytekit_tasks;
mod golden_pods;
mod hanging_store;
mod image_pull;
mod invalidation;
mod kubelet;
mod kubernetes_store;
mod lifecycle;
mod mirror_soak;
mod mirrors;
mod no_value_in_the_pod;
mod pods;
mod propagate;
mod registration;
mod registration_bundle;
mod registration_fields;
mod reinvocation;
mod replicas;
mod restricted;
mod sdk_flytekit;
mod secrecy;
mod secret_service;
mod service;
mod sqlalchemy;
mod stores;
mod traces;
mod unregister;
