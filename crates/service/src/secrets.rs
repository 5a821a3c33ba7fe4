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
use crate::invalidation::Invalidate;
use crate::problem::Problem;
use crate::{audit, names, page_token};

/// So many writes go on at once; more wait for their turn.
const WRITES: usize = 64;
/// The secrets of a page where none are asked for, and the most that a page has.
const PAGE: (usize, usize) = (100, 1000);

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
        self.authorize(&caller.identity, Action::Get, &id)?;
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
        let page = PageRequest { after: page_token::read(request.token)?, limit };
        self.authorize(&caller.identity, Action::List, &scope)?;
        let page = self.writer.list(&scope, page).await.map_err(|error| self.failed(&error, &scope))?;
        Ok(Listed {
            secrets: page.secrets,
            token: page.next.map_or_else(String::new, |after| page_token::write(&after)),
        })
    }

    fn id(&self, Place { name, domain, project }: Place<'_>) -> Result<SecretId, Problem> {
        let id = names::secret_id(name, domain, project)?;
        self.writer.check(&id).map_err(|error| self.failed(&error, &id))?;
        Ok(id)
    }

    /// The one place where it is decided whether somebody may do something.
    fn authorize(&self, identity: &Identity, action: Action, id: &SecretId) -> Result<(), Problem> {
        if self.policy.permits(identity, action, id) {
            return Ok(());
        }
        Err(Problem::not_permitted(identity, action, id))
    }

    /// The one place where something is written. It goes on to its end even if the caller goes away.
    async fn change(&self, caller: Caller, change: Change) -> Result<(), Problem> {
        if let Err(problem) = self.authorize(&caller.identity, change.action(), change.id()) {
            audit::note(&caller, change.action(), change.id(), Some(&problem));
            return Err(problem);
        }
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

fn new_secret(id: SecretId, value: Option<SecretValue>, kind: SecretKind) -> Result<NewSecret, Problem> {
    let missing =
        || Problem::invalid(format!("the secret {:?} has no value: give stringValue or binaryValue", id.name));
    Ok(NewSecret { value: value.ok_or_else(missing)?, id, kind })
}
