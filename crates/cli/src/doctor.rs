//! `doctor`: a live cluster, as a person would look at it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anstyle::AnsiColor;
use anyhow::{Context, Result};
use flyte_secrets_config::{CertificateMode, Config, InvalidationAuthentication, StoreSettings};
use flyte_secrets_core::Profile;
use flyte_secrets_core::settings::{CheckExists, Delivery};
use flyte_secrets_webhook::doctor::{Check, Finding, Installation, Level, Options, Report, Store, examine};
use flyte_secrets_webhook::kubernetes::watching_client;
use serde::Serialize;

use crate::Failed;
use crate::args::{ConfigArgs, DoctorArgs, TextOutput};
use crate::endpoint::endpoint;
use crate::output::{Message, label, print_coloured, print_json};
use crate::serve::certificates::default_mode;
use crate::serve::leading::lease;
use crate::serve::registration::settings;
use crate::setup::{Surroundings, tell_warnings};
use crate::stores;

/// After so long people are told what is waited for,
const SLOW: Duration = Duration::from_secs(2);
/// and again whenever so long has passed.
const STILL_SLOW: Duration = Duration::from_secs(10);

/// All of the report in JSON. Members are added, and none is renamed or removed.
#[derive(Serialize)]
struct Printed<'a> {
    summary: Summary,
    findings: Vec<PrintedFinding<'a>>,
}

#[derive(Serialize)]
struct Summary {
    ok: usize,
    info: usize,
    warning: usize,
    error: usize,
}

#[derive(Serialize)]
struct PrintedFinding<'a> {
    check: &'static str,
    #[serde(flatten)]
    finding: &'a Finding,
}

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs, args: &DoctorArgs) -> Result<(), Failed> {
    let as_json = args.output == TextOutput::Json;
    let namespace = args.namespace.clone().or_else(|| std::env::var("POD_NAMESPACE").ok());
    let namespace = namespace.filter(|namespace| !namespace.is_empty()).context(
        "the webhook's namespace is not known: give it by --namespace, or by the environment variable POD_NAMESPACE",
    )?;
    let loaded = surroundings.load_in(config, &namespace)?;
    tell_warnings(&loaded, as_json);
    let installation = installation(&loaded.config, &namespace)?;
    let options = Options {
        service_account: args.service_account.clone(),
        test_namespace: args.test_namespace.clone().unwrap_or(namespace),
        inside: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        timeout: Duration::from_secs(args.timeout),
    };
    // An admission may take longer than the answers to all other questions; each question has an end of its own.
    let client = watching_client().await?;
    let stores = &loaded.config.stores;
    let stores = stores.stores.iter().map(|store| Store {
        name: store.store_type().name().to_owned(),
        open: Box::pin(async {
            let opened = stores::open(store, stores.call_timeout).await;
            opened.map_err(|error| format!("{error:#}"))
        }),
    });
    let waiting = Mutex::new(Check::ALL.iter().copied().collect::<BTreeSet<_>>());
    let done = |check| {
        if let Ok(mut waiting) = waiting.lock() {
            waiting.remove(&check);
        }
    };
    let examined = examine(client, &installation, stores.collect(), &options, done);
    let report = with_progress(examined, &waiting, as_json).await;
    if as_json { print_json(&printed(&report)) } else { print_coloured(&text(&report)) }?;
    match report.worst() {
        Level::Ok | Level::Info => Ok(()),
        worst => Err(Failed::Found(worst)),
    }
}

/// What a script learns from the exit code alone.
pub(crate) fn exit_code(worst: Level) -> ExitCode {
    match worst {
        Level::Ok | Level::Info => ExitCode::SUCCESS,
        Level::Warning => ExitCode::from(4),
        Level::Error => ExitCode::from(5),
    }
}

fn installation(config: &Config, namespace: &str) -> Result<Installation> {
    let Config { injection, webhook, stores, .. } = config;
    let endpoint = endpoint(webhook)?.context("the webhook's namespace is not known: give it by --namespace")?;
    let store = stores.stores.iter().find_map(|store| match store {
        StoreSettings::K8s(store) => Some(store),
        _ => None,
    });
    // As at start-up, where there are no files.
    let mode = webhook.certificates.mode.unwrap_or_else(|| default_mode(webhook, injection.profile, false));
    let rotates = mode == CertificateMode::Auto;
    let authorities = webhook.certificates.ca_secret_namespace.clone().unwrap_or_else(|| namespace.to_owned());
    // Mirrors are collected, and CAs changed, by one replica.
    let elects = injection.delivery == Delivery::SecretRef || rotates;
    Ok(Installation {
        settings: injection.clone(),
        namespace: namespace.to_owned(),
        registration: settings(webhook, endpoint),
        registers: webhook.register,
        certificate_secret: webhook.secret_name.clone(),
        makes_certificate: mode == CertificateMode::Files
            && (webhook.local_cert || injection.profile == Profile::Flyte2),
        authority_secret: rotates.then(|| (authorities, webhook.certificates.ca_secret_name.clone())),
        leases: if elects { vec![lease(&webhook.service_name)] } else { Vec::new() },
        store_namespace: store.map(|store| store.namespace.clone()),
        watches_store: store.is_some_and(|store| store.watch),
        reviews_tokens: webhook.cache_invalidation_port.is_some()
            && webhook.invalidation.authentication == InvalidationAuthentication::TokenReview,
        looks_first: injection.check_exists != CheckExists::Off,
        writes_events: webhook.events,
    })
}

/// Awaits the report, and says now and then what is waited for.
async fn with_progress(
    examined: impl Future<Output = Report>,
    waiting: &Mutex<BTreeSet<Check>>,
    as_json: bool,
) -> Report {
    let mut examined = std::pin::pin!(examined);
    let mut patience = SLOW;
    loop {
        if let Ok(report) = tokio::time::timeout(patience, &mut examined).await {
            return report;
        }
        patience = STILL_SLOW;
        let names: Vec<&str> =
            waiting.lock().map(|waiting| waiting.iter().map(|check| check.name()).collect()).unwrap_or_default();
        Message::Note { message: &format!("still looking at: {}", names.join(", ")) }.tell(as_json);
    }
}

fn printed(report: &Report) -> Printed<'_> {
    let findings = report
        .checks
        .iter()
        .flat_map(|(check, findings)| findings.iter().map(|finding| PrintedFinding { check: check.name(), finding }));
    Printed {
        summary: Summary {
            ok: report.count(Level::Ok),
            info: report.count(Level::Info),
            warning: report.count(Level::Warning),
            error: report.count(Level::Error),
        },
        findings: findings.collect(),
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for (check, findings) in &report.checks {
        let _ = writeln!(text, "{}", check.title());
        for finding in findings {
            write_finding(&mut text, finding);
        }
        text.push('\n');
    }
    let counts = Level::ALL.map(|level| format!("{} {}", report.count(level), level.name()));
    let _ = writeln!(text, "{}", counts.join(", "));
    text
}

fn write_finding(text: &mut String, finding: &Finding) {
    let Finding { id, level, what, place, remedy } = finding;
    let colour = match level {
        Level::Ok => AnsiColor::Green,
        Level::Info => AnsiColor::Cyan,
        Level::Warning => AnsiColor::Yellow,
        Level::Error => AnsiColor::Red,
    };
    let padding = " ".repeat(8 - level.name().len());
    let _ = write!(text, "  {}{padding}{what}", label(level.name(), colour));
    if *level == Level::Ok {
        let _ = if place.is_empty() { writeln!(text) } else { writeln!(text, " ({place})") };
        return;
    }
    let _ = writeln!(text, " [{id}]");
    for (name, line) in [("where", place), ("remedy", remedy)] {
        if !line.is_empty() {
            let _ = writeln!(text, "          {name}: {line}");
        }
    }
}
