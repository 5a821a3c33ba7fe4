//! The Lease: looked at, taken, renewed, given back.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::time::Instant;

use super::LeaderSettings;
use crate::kubernetes::{ApiError, ApiErrorKind, Object, Verb};

/// One replica's part in the election.
pub(super) struct Election {
    pub(super) settings: LeaderSettings,
    leases: Api<Lease>,
    /// The Lease as we wrote it last, to renew it without asking first.
    ours: Option<Lease>,
    /// What we saw in the Lease, and since when.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Election {
    pub(super) fn new(client: kube::Client, settings: LeaderSettings) -> Self {
        let leases = Api::namespaced(client, &settings.namespace);
        Self { settings, leases, ours: None, seen: None }
    }

    /// Who has the Lease, as far as we know.
    pub(super) fn leader(&self) -> &str {
        self.seen.as_ref().and_then(|(spec, _)| spec.holder_identity.as_deref()).unwrap_or("nobody")
    }

    /// Takes the Lease or renews it; `false` if it is somebody else's.
    pub(super) async fn attempt(&mut self) -> Result<bool, ApiError> {
        if let Some(lease) = self.ours.take() {
            match self.write(lease).await {
                Err(error) if is_overtaken(&error) => {}
                outcome => return outcome.map(|()| true),
            }
        }
        let found = self.object().call(Verb::Get, self.leases.get_opt(&self.settings.name)).await?;
        let outcome = match found {
            None => self.create().await,
            Some(lease) if self.may_have(&lease) => self.write(lease).await,
            Some(_) => return Ok(false),
        };
        match outcome {
            Err(error) if is_overtaken(&error) => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Gives the Lease back, if we have it, so that others need not wait.
    pub(super) async fn release(&mut self) {
        let Some(mut lease) = self.ours.take() else { return };
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.renew_time = Some(now());
        let params = PostParams::default();
        let request = self.leases.replace(&self.settings.name, &params, &lease);
        if let Err(error) = self.object().call(Verb::Update, request).await {
            tracing::debug!(%error, "the Lease was not given back; it will run out");
        }
    }

    /// Whether the Lease is nobody's, ours, or has run out before our eyes.
    fn may_have(&mut self, lease: &Lease) -> bool {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.settings.lease, Duration::from_secs);
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if *seen == spec => *since,
            _ => Instant::now(),
        };
        self.seen = Some((spec, since));
        holder.is_empty() || holder == self.settings.identity || since.elapsed() >= duration
    }

    async fn create(&mut self) -> Result<(), ApiError> {
        let metadata = ObjectMeta { name: Some(self.settings.name.clone()), ..ObjectMeta::default() };
        let lease = self.with_us(Lease { metadata, spec: None });
        let params = PostParams::default();
        let request = self.leases.create(&params, &lease);
        let written = self.object().call(Verb::Create, request).await?;
        self.remember(written);
        Ok(())
    }

    /// A conflict if it is no longer the Lease that was read.
    async fn write(&mut self, lease: Lease) -> Result<(), ApiError> {
        let lease = self.with_us(lease);
        let params = PostParams::default();
        let request = self.leases.replace(&self.settings.name, &params, &lease);
        let written = self.object().call(Verb::Update, request).await?;
        self.remember(written);
        Ok(())
    }

    fn remember(&mut self, written: Lease) {
        self.seen = Some((written.spec.clone().unwrap_or_default(), Instant::now()));
        self.ours = Some(written);
    }

    fn with_us(&self, mut lease: Lease) -> Lease {
        let LeaderSettings { identity, lease: duration, .. } = &self.settings;
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() != Some(identity) {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1)));
            spec.acquire_time = Some(now());
            spec.holder_identity = Some(identity.clone());
        }
        spec.lease_duration_seconds = Some(i32::try_from(duration.as_secs().max(1)).unwrap_or(i32::MAX));
        spec.renew_time = Some(now());
        lease
    }

    fn object(&self) -> Object {
        Object {
            group: "coordination.k8s.io",
            resource: "leases",
            namespace: Some(self.settings.namespace.clone()),
            name: self.settings.name.clone(),
        }
    }
}

fn is_overtaken(error: &ApiError) -> bool {
    error.kind == ApiErrorKind::Conflict || (error.kind == ApiErrorKind::NotFound && error.verb == Verb::Update)
}

fn now() -> MicroTime {
    MicroTime(Timestamp::now())
}
