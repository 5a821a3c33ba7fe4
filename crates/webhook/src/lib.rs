//! The admission webhook: reviews in, patches out.
//!
//! [`review`] reads an AdmissionReview and writes its answer, [`admission`] decides about the pod in it, [`server`] brings the
//! bytes over TLS, [`invalidation`] takes word of secrets that changed ([`token_review`] says from whom). [`certificates`] and [`registration`] see to it that
//! the API server calls, [`metrics`] and [`events`] that one sees it. [`mirrors`] and [`image_pull`] are Secrets of ours in the pods'
//! namespaces; of several replicas the [`leader`] collects mirrors.

pub mod admission;
pub mod certificates;
pub mod doctor;
pub mod events;
pub mod image_pull;
pub mod invalidation;
pub mod kubernetes;
pub mod leader;
pub mod leftovers;
pub mod metrics;
pub mod mirrors;
pub mod registration;
pub mod review;
pub mod server;
pub mod token_review;
