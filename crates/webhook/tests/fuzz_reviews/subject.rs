//! The webhook under test: its router over a store that is as deterministic as everything else here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, Bytes};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::settings::{
    CheckExists, InitContainerPlacement, InitContainerSecurityContext, OnCollision, OnManagerFailure,
};
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{Profile, SecretManagerType as Manager, Settings};
use flyte_secrets_stores::{FailureClass, FetchError, LookUpSettings, LookUps, NoObserver, Scopes, SecretFetcher};
use flyte_secrets_webhook::admission::{Sources, Variables};
use flyte_secrets_webhook::metrics::Metrics;
use flyte_secrets_webhook::review::PodReviewer;
use flyte_secrets_webhook::server::{ADMISSION_PATH, ServerSettings, admission_router};
use futures::future::{BoxFuture, ready};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// A fake: what it says is in the name that it is asked for.
#[derive(Default)]
pub struct FakeStore {
    /// Whether it has failed in a way that may pass, as it is told to by names that begin with `down`.
    pub has_failed: AtomicBool,
}

impl SecretFetcher for FakeStore {
    fn name(&self) -> &'static str {
        "fake store"
    }

    fn get<'a>(&'a self, id: &'a SecretId) -> BoxFuture<'a, Result<SecretValue, FetchError>> {
        let answer = match id.name.as_str() {
            name if name.starts_with("down") => {
                self.has_failed.store(true, Ordering::Relaxed);
                Err(FetchError::new(FailureClass::Unavailable, "told to fail"))
            }
            name if name.starts_with("binary") => Ok(SecretValue::binary(vec![0xff, 0, 1])),
            "denied" => Err(FetchError::new(FailureClass::Denied, "no")),
            "empty" => Ok(SecretValue::text(String::new())),
            "large" => Ok(SecretValue::text("large".repeat(15_000))),
            "my_key" => Err(FetchError::new(FailureClass::NotFound, "no such secret")),
            name => Ok(SecretValue::text(format!("$(value) of {name}\n"))),
        };
        Box::pin(ready(answer))
    }
}

pub struct Subject {
    pub store: Arc<FakeStore>,
    pub metrics: Metrics,
    router: Router,
}

impl Subject {
    /// One for each way of being configured.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for profile in [Profile::Flyte2, Profile::Flyte1] {
            for managers in [
                &[Manager::Global, Manager::Embedded][..],
                &[Manager::Global, Manager::K8s],
                &[Manager::Global, Manager::Embedded, Manager::K8s, Manager::Vault],
                &[Manager::Aws, Manager::Azure, Manager::Gcp, Manager::Embedded, Manager::Vault, Manager::K8s],
            ] {
                let mut settings = Settings::defaults(profile);
                managers.clone_into(&mut settings.managers);
                settings.global.secrets_prefix = "/nowhere/secrets".into();
                if all.len() % 2 == 1 {
                    settings.on_manager_failure = OnManagerFailure::Next;
                    settings.on_collision = OnCollision::Refuse;
                    settings.init_container_placement = InitContainerPlacement::Last;
                    settings.init_container_security_context = InitContainerSecurityContext::Restricted;
                    settings.check_exists = CheckExists::Refuse;
                }
                all.push(Self::new(settings));
            }
        }
        all
    }

    fn new(settings: Settings) -> Self {
        let store = Arc::new(FakeStore::default());
        let variables = [("FLYTE_SECRET_A_B".to_owned(), "of the webhook".to_owned())];
        let sources = Sources {
            variables: Variables::new(variables, "FLYTE_SECRET_"),
            look_ups: LookUps::new(
                vec![Arc::clone(&store) as Arc<dyn SecretFetcher>],
                // A hundred thousand inputs are many: no question more than needed, and no pause before another attempt.
                LookUpSettings { scopes: Scopes::Sequential, attempts: 1, ..LookUpSettings::uncached() },
                Arc::new(NoObserver),
            ),
            ..Sources::default()
        };
        let metrics = Metrics::new("flyte:");
        let reviewer = Arc::new(PodReviewer::new(Arc::new(ArcSwap::from_pointee(settings)), sources, None));
        let router = admission_router(&ServerSettings::default(), reviewer, metrics.clone());
        Self { store, metrics, router }
    }

    pub async fn post(&self, body: Vec<u8>) -> (StatusCode, Bytes) {
        self.store.has_failed.store(false, Ordering::Relaxed);
        let request = Request::post(ADMISSION_PATH).header(header::CONTENT_TYPE, "application/json");
        let (head, body) =
            self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap().into_parts();
        (head.status, body.collect().await.unwrap().to_bytes())
    }
}
