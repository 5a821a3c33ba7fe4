//! `doctor`: looks at a live cluster as a person would, and says what is wrong and what to do about it.
//!
//! Every check is two functions: one asks (`ask`: I/O, bounded, never fails as a whole) and one judges what was seen
//! (`judge`: data in, [`Finding`]s out). What may not be looked at is a finding of its own, with the rule that would allow it.
//! Of Secrets only metadata and certificates are read.

mod admission;
mod api;
mod certificates;
mod check;
mod cluster;
mod endpoints;
mod finding;
mod ids;
mod installation;
mod mirrors;
mod names;
mod permissions;
mod policy;
mod probe;
mod registration;
mod replicas;
mod rivals;
mod selector;
mod stores;
#[cfg(test)]
mod test_installation;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};

use api::Reader;
use registration::Configurations;

pub use check::{Check, Level};
pub use finding::{Finding, Report};
pub use ids::Id;
pub use installation::{DEFAULT_TIMEOUT, Installation, Options, Store};

/// What all checks of the cluster look at.
struct Shared {
    configurations: Configurations,
    namespaces: Result<rivals::Namespaces, crate::kubernetes::ApiError>,
}

/// Looks at everything, all checks at once, each for [`Options::timeout`] at most (which one dry-run pod may take as well).
/// `done` is called whenever a check has ended.
///
/// If the API server does not answer, only what needs no cluster is looked at.
pub async fn examine(
    client: kube::Client,
    installation: &Installation,
    stores: Vec<Store<'_>>,
    options: &Options,
    done: impl Fn(Check) + Sync,
) -> Report {
    let reader = Reader::new(client);
    let limit = options.timeout;
    let organization = installation.settings.access.organizations.first().map_or("flyte", String::as_str);
    let asked = tokio::time::timeout(limit, cluster::ask(&reader));
    let version = asked.await.unwrap_or_else(|_| Err(silent(limit)));
    let cluster = cluster::judge(&version);
    let reachable = !cluster.iter().any(|finding| finding.id == Id::ClusterUnreachable);
    done(Check::Cluster);

    let shared = match reachable {
        true => Some(shared(&reader, installation, limit).await),
        false => None,
    };
    // The stores have the limit for themselves; theirs ends first.
    let of_stores = limit.saturating_sub(limit / 10);
    let stores = async move { stores::judge(&stores::ask(stores, organization, of_stores).await, options) }.boxed();
    let mut checks: Vec<(Check, BoxFuture<'_, Vec<Finding>>)> =
        vec![(Check::Stores, stores), (Check::Policy, async { policy::judge(&installation.settings) }.boxed())];
    if let Some(shared) = &shared {
        checks.extend(of_cluster(&reader, shared, installation, options));
    }
    let mut running: FuturesUnordered<_> = checks
        .into_iter()
        .map(|(check, work)| async move {
            // Each of two dry-run pods has the limit for itself.
            let limit = if check == Check::Admission { limit * 3 } else { limit };
            let findings = tokio::time::timeout(limit, work).await.unwrap_or_else(|_| vec![late(limit)]);
            (check, findings)
        })
        .collect();
    let mut found = BTreeMap::from([(Check::Cluster, cluster)]);
    while let Some((check, findings)) = running.next().await {
        done(check);
        found.insert(check, findings);
    }
    drop(running);
    Report { checks: found.into_iter().collect() }
}

async fn shared(reader: &Reader, installation: &Installation, limit: Duration) -> Shared {
    let read = async { futures::join!(Configurations::read(reader, installation), rivals::namespaces(reader)) };
    match tokio::time::timeout(limit, read).await {
        Ok((configurations, namespaces)) => Shared { configurations, namespaces },
        Err(_) => {
            let configurations = Configurations { ours: Err(silent(limit)), all: Err(silent(limit)) };
            Shared { configurations, namespaces: Err(silent(limit)) }
        }
    }
}

/// The checks that need a cluster.
fn of_cluster<'a>(
    reader: &'a Reader,
    shared: &'a Shared,
    installation: &'a Installation,
    options: &'a Options,
) -> Vec<(Check, BoxFuture<'a, Vec<Finding>>)> {
    let Shared { configurations, namespaces } = shared;
    let webhook = configurations.webhook();
    let whose = permissions::whose(installation, options);
    let of_mirrors = whose.clone();
    let permissions =
        async move { permissions::judge(&permissions::ask(reader, installation, options).await, &whose, options) };
    let certificates = async move {
        let now = SystemTime::now();
        let names = match installation.registration.endpoint.certificate_names(&[]) {
            Ok(names) => names,
            Err(error) => return vec![Finding::error(Id::CertificatesUntrusted, error.to_string())],
        };
        let facts = certificates::ask(reader, installation, &names).await;
        certificates::Judge { installation, options, names: &names, now }.judge(webhook, &facts)
    };
    let admission = async move {
        let facts = probe::ask(reader, installation, options).await;
        admission::Judge { installation, options, webhook, namespaces }.judge(&facts)
    };
    let names = async move {
        let facts = names::ask(reader, installation).await;
        names::judge(installation, webhook, &facts, SystemTime::now())
    };
    let mirrors = async move {
        let facts = mirrors::ask(reader, installation, &of_mirrors).await;
        mirrors::judge(installation, facts.as_ref())
    };
    vec![
        (Check::Permissions, permissions.boxed()),
        (Check::Registration, async move { registration::judge(installation, configurations) }.boxed()),
        (Check::Certificates, certificates.boxed()),
        (Check::Admission, admission.boxed()),
        (Check::Rivals, async move { rivals::judge(installation, configurations, namespaces) }.boxed()),
        (Check::Names, names.boxed()),
        (Check::Mirrors, mirrors.boxed()),
        (
            Check::Replicas,
            async move { replicas::judge(installation, &replicas::ask(reader, installation).await) }.boxed(),
        ),
    ]
}

fn late(limit: Duration) -> Finding {
    Finding::warning(Id::CouldNotLook, format!("it took longer than {} s", limit.as_secs()))
        .remedy("--timeout with more")
}

fn silent(limit: Duration) -> crate::kubernetes::ApiError {
    crate::kubernetes::ApiError {
        verb: crate::kubernetes::Verb::Get,
        object: api::object("", "version", None, ""),
        kind: crate::kubernetes::ApiErrorKind::Unreachable,
        message: format!("no answer after {} s", limit.as_secs()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
