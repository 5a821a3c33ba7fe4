//! What the service does, whatever the protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use connectrpc::ErrorCode;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::{
    NewSecret, PageRequest, SecretKind, SecretMetadata, SecretWriter, WriteError, WriteFailure,
};
use futures::future::join_all;
use tokio::sync::Semaphore;

use crate::access::{AccessPolicy, Action, Identity};
use crate::audit::Trace;
use crate::invalidation::Invalidate;
use crate::problem::Problem;
use crate::{audit, names, page_token};

/// So many writes go on at once; more wait for their turn.
const WRITES: usize = 64;
/// The secrets of a page where none are asked for, and the most that a page has.
const PAGE: (usize, usize) = (100, 1000);

/// So many pages of a store make one page of secrets that a caller may see.
const MAX_ROUNDS: usize = 10;

/// The secrets, and who may do what to them. Clones share everything.
#[derive(Clone)]
pub struct Secrets {
    writer: Arc<dyn SecretWriter>,
    policy: Arc<dyn AccessPolicy>,
    caches: Arc<[Arc<dyn Invalidate>]>,
    /// Writes that may go on at once, callers that went away included.
    writes: Arc<Semaphore>,
}

/// Who calls.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Who it is, as far as that was proven.
    pub identity: Identity,
    /// From where; behind a proxy that is the proxy.
    pub peer: Option<SocketAddr>,
    pub(crate) trace: Trace,
}

/// Where a secret is: its name, and its domain and project, which may be empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) name: &'a str,
    pub(crate) domain: &'a str,
    pub(crate) project: &'a str,
}

/// Which secrets are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListRequest<'a> {
    /// The domain; empty for all.
    pub domain: &'a str,
    /// The project of the domain; empty for all.
    pub project: &'a str,
    /// The most secrets of the page: 100 for 0, never more than 1,000.
    pub limit: i32,
    /// The token of the page before; empty for the first.
    pub token: &'a str,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The secrets, in the order of their encoded ids.
    pub secrets: Vec<SecretMetadata>,
    /// The token of the next page; empty after the last.
    pub token: String,
}

/// A change of one secret.
enum Change {
    Create(NewSecret),
    Update(NewSecret),
    Delete(SecretId),
}

impl Change {
    const fn action(&self) -> Action {
        match self {
            Self::Create(_) => Action::Create,
            Self::Update(_) => Action::Update,
            Self::Delete(_) => Action::Delete,
        }
    }

    const fn id(&self) -> &SecretId {
        match self {
            Self::Create(secret) | Self::Update(secret) => &secret.id,
            Self::Delete(id) => id,
        }
    }
}

impl Secrets {
    /// The secrets of a store. After each write all of `caches` are told.
    #[must_use]
    pub fn new(writer: Arc<dyn SecretWriter>, policy: Arc<dyn AccessPolicy>, caches: Vec<Arc<dyn Invalidate>>) -> Self {
        Self { writer, policy, caches: caches.into(), writes: Arc::new(Semaphore::new(WRITES)) }
    }

    pub(crate) async fn create(
        &self,
        caller: Caller,
        place: Place<'_>,
        value: Option<SecretValue>,
        kind: SecretKind,
    ) -> Result<(), Problem> {
        let id = self.id(place)?;
        self.change(caller, Change::Create(new_secret(id, value, kind)?)).await
    }

    pub(crate) async fn update(
        &self,
        caller: Caller,
        place: Place<'_>,
        value: Option<SecretValue>,
        kind: SecretKind,
    ) -> Result<(), Problem> {
        let id = self.id(place)?;
        self.change(caller, Change::Update(new_secret(id, value, kind)?)).await
    }

    pub(crate) async fn delete(&self, caller: Caller, place: Place<'_>) -> Result<(), Problem> {
        let id = self.id(place)?;
        self.change(caller, Change::Delete(id)).await
    }

    pub(crate) async fn get(&self, caller: &Caller, place: Place<'_>) -> Result<SecretMetadata, Problem> {
        let id = self.id(place)?;
        self.authorize(caller, Action::Get, &id)?;
        self.writer.describe(&id).await.map_err(|error| self.failed(&error, &id))
    }

    pub(crate) async fn list(&self, caller: &Caller, request: ListRequest<'_>) -> Result<Listed, Problem> {
        let scope = names::scope(request.domain, request.project)?;
        let limit = match usize::try_from(request.limit) {
            Ok(0) => PAGE.0,
            Ok(limit) => limit.min(PAGE.1),
            Err(_) => {
                return Err(Problem::invalid(format!(
                    "a page of {} secrets cannot be; 0 is the default",
                    request.limit
                )));
            }
        };
        let after = page_token::read(request.token)?;
        self.authorize(caller, Action::List, &scope)?;
        self.page(caller, &scope, after, limit).await
    }

    /// The next secrets of a scope that the caller may see. Others are passed over; after many of them the page ends early, and the
    /// next one begins behind them.
    async fn page(
        &self,
        caller: &Caller,
        scope: &SecretId,
        mut after: Option<String>,
        limit: usize,
    ) -> Result<Listed, Problem> {
        let mut secrets = Vec::new();
        for round in 0..MAX_ROUNDS {
            let request = PageRequest { after, limit: if round == 0 { limit } else { PAGE.1 } };
            let page = self.writer.list(scope, request).await.map_err(|error| self.failed(&error, scope))?;
            let is_visible = |secret: &SecretMetadata| self.policy.permits(&caller.identity, Action::Get, &secret.id);
            let mut visible = page.secrets.into_iter().filter(is_visible);
            secrets.extend(visible.by_ref().take(limit - secrets.len()));
            // There is one more of them in this page already.
            after = if visible.next().is_some() { last(&secrets) } else { page.next };
            if after.is_none() || secrets.len() == limit {
                break;
            }
        }
        Ok(Listed { secrets, token: after.map_or_else(String::new, |after| page_token::write(&after)) })
    }

    fn id(&self, Place { name, domain, project }: Place<'_>) -> Result<SecretId, Problem> {
        let id = names::secret_id(name, domain, project)?;
        self.writer.check(&id).map_err(|error| self.failed(&error, &id))?;
        Ok(id)
    }

    /// The one place where it is decided whether somebody may do something.
    fn authorize(&self, caller: &Caller, action: Action, id: &SecretId) -> Result<(), Problem> {
        if self.policy.permits(&caller.identity, action, id) {
            return Ok(());
        }
        let problem = Problem::not_permitted(&caller.identity, action, id);
        audit::note(caller, action, id, Some(&problem));
        Err(problem)
    }

    /// The one place where something is written. It goes on to its end even if the caller goes away.
    async fn change(&self, caller: Caller, change: Change) -> Result<(), Problem> {
        self.authorize(&caller, change.action(), change.id())?;
        let internal = |what: &str| Problem::new(ErrorCode::Internal, what.to_owned());
        let turn = Arc::clone(&self.writes).acquire_owned().await.map_err(|_| internal("the service is ending"))?;
        let secrets = self.clone();
        let done = tokio::spawn(async move {
            let outcome = secrets.apply(&caller, &change).await;
            drop(turn);
            outcome
        });
        done.await.map_err(|_| internal("an internal error; the change may have been made"))?
    }

    async fn apply(&self, caller: &Caller, change: &Change) -> Result<(), Problem> {
        let written = match change {
            Change::Create(secret) => self.writer.create(secret).await,
            Change::Update(secret) => self.writer.update(secret).await,
            Change::Delete(id) => self.writer.delete(id).await,
        };
        if is_stale_after(change, &written) {
            join_all(self.caches.iter().map(|cache| cache.invalidate(change.id()))).await;
        }
        let outcome = written.map_err(|error| self.failed(&error, change.id()));
        audit::note(caller, change.action(), change.id(), outcome.as_ref().err());
        outcome
    }

    fn failed(&self, error: &WriteError, id: &SecretId) -> Problem {
        Problem::of_store(error, self.writer.name(), id)
    }
}

/// Whether caches may hold something else than the store now: after a change, after one of which we do not know whether it was
/// made, and, as in Flyte, after the removal of what is not there.
fn is_stale_after(change: &Change, written: &Result<(), WriteError>) -> bool {
    match written.as_ref().map_err(WriteError::failure) {
        Ok(()) | Err(WriteFailure::Unavailable | WriteFailure::Late) => true,
        Err(WriteFailure::NotFound) => matches!(change, Change::Delete(_)),
        Err(_) => false,
    }
}

fn last(secrets: &[SecretMetadata]) -> Option<String> {
    secrets.last().map(|secret| secret.id.to_string())
}

fn new_secret(id: SecretId, value: Option<SecretValue>, kind: SecretKind) -> Result<NewSecret, Problem> {
    let missing =
        || Problem::invalid(format!("the secret {:?} has no value: give stringValue or binaryValue", id.name));
    Ok(NewSecret { value: value.ok_or_else(missing)?, id, kind })
}
