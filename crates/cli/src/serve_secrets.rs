//! `service`: the Secret service from its parts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use flyte_secrets_config::{AccessRule, AuthenticationSettings, Config, SecretServiceSettings};
use flyte_secrets_service::{
    AccessPolicy, Authentication, Everybody, Invalidate, Limits, Metrics, Oidc, Refusal, ReviewTokens, Rules, Secrets,
    ServerSettings, TokenReview, Webhooks, serve,
};
use flyte_secrets_webhook::certificates::{CertificateNames, Reloader, server_config};
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::metrics::name_prefix;
use flyte_secrets_webhook::token_review::{NobodyKnown, TokenReviews};
use futures::future::BoxFuture;
use rustls::ServerConfig;

use crate::args::ConfigArgs;
use crate::serve::ending::Ending;
use crate::setup::Surroundings;
use crate::{Failed, logging, writers};

/// How often the certificate's files are looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(1);
const TOKEN_REVIEW: &str = "secret.authentication.modes: TokenReview needs the API server";
/// How long a token of a ServiceAccount is good after it was revoked.
const REMEMBERED: Duration = Duration::from_secs(10);

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs) -> Result<(), Failed> {
    let loaded = surroundings.load(config)?;
    logging::start(&loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let end = Ending::at_signal()?;
    tokio::select! {
        ended = run_with(&loaded.config, end.clone()) => Ok(ended?),
        () = end.at_once() => {
            tracing::warn!("ending at once: nothing is served yet, or a second signal asks for it");
            Ok(())
        }
    }
}

async fn run_with(config: &Config, end: Ending) -> Result<()> {
    let service = &config.secret_service;
    let metrics = Metrics::new(&name_prefix(&config.webhook.metrics_prefix));
    let writer = writers::open(service, config.stores.call_timeout).await.context("secret.store")?;
    let tls = match &service.cert_dir {
        Some(folder) => Some(tls(folder).await.context("secret.server.certDir")?),
        None => None,
    };
    let encrypted = tls.is_some();
    let (authentication, policy) = access(&service.authentication, &service.rules).await?;
    let secrets = Secrets::new(writer, policy, caches(service, &metrics)?);
    let settings = ServerSettings {
        host: service.host.clone(),
        port: service.port,
        metrics_port: service.metrics_port,
        shutdown_delay: service.shutdown_delay,
        limits: Limits::default(),
    };
    let cluster = &service.cluster_name;
    let running = serve(settings, secrets, authentication, cluster, tls, metrics, end.clone().reached()).await?;
    end.in_good_order();
    if !service.authentication.is_on() {
        tracing::warn!("nobody is asked who it is: whoever reaches the port may write and delete every secret");
    } else if !encrypted {
        tracing::warn!(
            "tokens and values come over plain HTTP; set secret.server.certDir unless something in front speaks TLS"
        );
    }
    tracing::info!(
        address = %running.addr,
        metrics = %running.metrics_addr,
        tls = encrypted,
        store = ?service.store,
        webhooks = service.webhook_url,
        "serving secrets"
    );
    running.handle.await.context("the service ended early")
}

/// Who is let in, and who of them may do what.
async fn access(
    authentication: &AuthenticationSettings,
    rules: &[AccessRule],
) -> Result<(Authentication, Arc<dyn AccessPolicy>)> {
    if !authentication.is_on() {
        return Ok((Authentication::default(), Arc::new(Everybody)));
    }
    let token_review = match &authentication.token_review {
        Some(audiences) => {
            let reviews = TokenReviews::new(client().await.context(TOKEN_REVIEW)?, audiences.clone(), REMEMBERED);
            Some(TokenReview::new(Arc::new(ApiServer(reviews)), audiences.clone()))
        }
        None => None,
    };
    let oidc = match &authentication.oidc {
        Some(settings) => {
            let oidc = Oidc::new(settings.clone()).context("secret.authentication.oidc")?;
            oidc.prepare().await;
            Some(oidc)
        }
        None => None,
    };
    Ok((Authentication::new(token_review, oidc), Arc::new(Rules::new(rules.to_vec()))))
}

/// The API server, asked about tokens.
struct ApiServer(TokenReviews);

impl ReviewTokens for ApiServer {
    fn user<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move {
            self.0.user(token).await.map_err(|why| match why {
                NobodyKnown::Unknown => Refusal::Unknown,
                NobodyKnown::Unavailable => {
                    Refusal::Unavailable { what: "the API server cannot be asked about tokens" }
                }
            })
        })
    }
}

/// Who is told of changes.
fn caches(service: &SecretServiceSettings, metrics: &Metrics) -> Result<Vec<Arc<dyn Invalidate>>> {
    let Some(url) = &service.webhook_url else { return Ok(Vec::new()) };
    let webhooks =
        Webhooks::new(url, service.webhook_token_file.clone(), metrics.clone()).context("secret.webhookURL")?;
    Ok(vec![Arc::new(webhooks)])
}

/// The certificate in a folder, and whatever replaces it there. Which names it has is the business of those who trust it.
async fn tls(folder: &Path) -> Result<Arc<ServerConfig>> {
    let reloader = Reloader::open(folder, CertificateNames::for_hosts(&[])?).await?;
    let tls = Arc::new(server_config(reloader.resolver()));
    tokio::spawn(reloader.run(CERTIFICATE_INTERVAL));
    Ok(tls)
}
