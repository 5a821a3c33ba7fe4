//! One mirror, kept: rounds of look, compare, write. Why this is right stands in [`super`].

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flyte_secrets_core::mirror::{Form, MirrorSource};
use flyte_secrets_core::value::SecretValue;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use super::marks::{self, Marks};
use super::{
    CollectionState, FreshError, FreshValue, FreshValues, MAX_VALUE, MirrorError, MirrorObserver, MirrorSettings,
    WantedMirror, Write,
};
use crate::kubernetes::{ApiErrorKind, Secrets, Verb, Wiped, jittered};

/// How often a mirror is looked at before we give up.
const ROUNDS: u32 = 12;
/// The wait after the first conflict; it grows by as much with each round.
const CONFLICT: Duration = Duration::from_millis(10);
/// Mirrors that are seen to at the same time.
const CONCURRENT: usize = 64;

/// For whom a mirror is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A pod will refer to it: it has to exist, and is needed now.
    Admission,
    /// The collector keeps it in step with its source: it is not created, and not needed for that.
    Sweep,
}

/// Looks at mirrors and writes them.
pub(super) struct Keeper {
    pub(super) client: kube::Client,
    pub(super) fresh: Arc<dyn FreshValues>,
    pub(super) settings: MirrorSettings,
    pub(super) observer: Arc<dyn MirrorObserver>,
    pub(super) clock: Clock,
    pub(super) collection: watch::Sender<CollectionState>,
    permits: Semaphore,
    tokens: RandomState,
}

/// How a round ended.
enum Round {
    /// All is well.
    Done,
    /// Look again at once.
    Again,
}

impl Keeper {
    pub(super) fn new(
        client: kube::Client,
        fresh: Arc<dyn FreshValues>,
        settings: MirrorSettings,
        observer: Arc<dyn MirrorObserver>,
    ) -> Self {
        Self {
            client,
            fresh,
            settings,
            observer,
            clock: Clock::default(),
            collection: watch::Sender::default(),
            permits: Semaphore::new(CONCURRENT),
            tokens: RandomState::new(),
        }
    }

    /// Sees to the mirror; returns when the last request for it was sent.
    pub(super) async fn keep(
        &self,
        namespace: &str,
        wanted: &WantedMirror,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Instant, MirrorError> {
        let late = || MirrorError::Late { namespace: namespace.to_owned(), name: wanted.name.clone() };
        check(&wanted.value, wanted.form, &wanted.source)?;
        let _permit: SemaphorePermit<'_> = tokio::time::timeout_at(deadline, self.permits.acquire())
            .await
            .map_err(|_| late())?
            .expect("nobody closes the semaphore");
        let task = Task { keeper: self, namespace, wanted, purpose, deadline };
        let mut conflicts = 0;
        for _ in 0..ROUNDS {
            if Instant::now() >= deadline {
                return Err(late());
            }
            let sent = Instant::now();
            match task.round().await {
                Ok(Round::Done) => return Ok(sent),
                Ok(Round::Again) => {}
                Err(MirrorError::Api(error)) if is_overtaken(error.kind, error.verb) => {
                    conflicts += 1;
                    tokio::time::sleep(jittered(CONFLICT * conflicts)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(MirrorError::Contended { namespace: namespace.to_owned(), name: wanted.name.clone() })
    }

    /// A text that nobody else will ever write, so that every mark changes the mirror.
    fn token(&self) -> String {
        format!("{:016x}{:016x}", self.tokens.hash_one(Instant::now()), RandomState::new().hash_one(()))
    }
}

/// Somebody else was faster: created what we wanted to create, or changed or removed what we wanted to change. A 404 for
/// a creation is about the namespace.
fn is_overtaken(kind: ApiErrorKind, verb: Verb) -> bool {
    kind == ApiErrorKind::Conflict || (kind == ApiErrorKind::NotFound && verb == Verb::Update)
}

/// One mirror that is wanted.
struct Task<'a> {
    keeper: &'a Keeper,
    namespace: &'a str,
    wanted: &'a WantedMirror,
    purpose: Purpose,
    deadline: Instant,
}

impl Task<'_> {
    async fn round(&self) -> Result<Round, MirrorError> {
        let Some(found) = self.secrets().get(&self.wanted.name).await.map_err(MirrorError::Api)?.map(Wiped) else {
            return self.create().await;
        };
        let marks = Marks::of(&found.metadata).filter(|marks| self.is_wanted(marks)).ok_or_else(|| self.taken())?;
        if holds(&found, &self.wanted.value) {
            return self.leave(found, &marks).await;
        }
        // Ours may come from an old cache, or the mirror's may be old: who knows is the source.
        let fresh = self.read_again().await?;
        if holds(&found, &fresh.value) {
            return self.leave(found, &marks).await;
        }
        if marks.changing { self.replace(found, &fresh).await } else { self.mark(found).await }
    }

    fn is_wanted(&self, marks: &Marks) -> bool {
        marks.source == self.wanted.source && marks.form == self.wanted.form
    }

    async fn create(&self) -> Result<Round, MirrorError> {
        if self.purpose == Purpose::Admission {
            let WantedMirror { name, source, value, fetched, .. } = self.wanted;
            let value = FreshValue { value: value.clone(), fetched: *fetched };
            let mut mirror = marks::mirror(self.namespace, name, source, &value, self.keeper.clock.now());
            marks::belongs_to(&mut mirror, &self.keeper.settings.installation);
            self.secrets().create(name, &mirror).await.map_err(MirrorError::Api)?;
            self.keeper.observer.wrote(Write::Created);
        }
        Ok(Round::Done)
    }

    /// The value is right; what stands around it may have to be renewed.
    async fn leave(&self, mut found: Wiped, marks: &Marks) -> Result<Round, MirrorError> {
        let now = self.keeper.clock.now();
        let young = marks.needed_within(self.keeper.settings.refresh(), now);
        let fine = young && !marks.changing && !marks.condemned;
        if fine || self.purpose == Purpose::Sweep {
            return Ok(Round::Done);
        }
        marks::renew(&mut found, now);
        marks::belongs_to(&mut found, &self.keeper.settings.installation);
        self.update(&found, Write::Renewed).await
    }

    async fn mark(&self, mut found: Wiped) -> Result<Round, MirrorError> {
        marks::mark(&mut found, self.keeper.token());
        self.update(&found, Write::Marked).await.map(|_| Round::Again)
    }

    async fn replace(&self, mut found: Wiped, fresh: &FreshValue) -> Result<Round, MirrorError> {
        marks::put(&mut found, fresh);
        if self.purpose == Purpose::Admission {
            marks::renew(&mut found, self.keeper.clock.now());
            marks::belongs_to(&mut found, &self.keeper.settings.installation);
        }
        self.update(&found, Write::Updated).await
    }

    async fn update(&self, secret: &Wiped, write: Write) -> Result<Round, MirrorError> {
        self.secrets().update(&self.wanted.name, secret).await.map_err(MirrorError::Api)?;
        self.keeper.observer.wrote(write);
        Ok(Round::Done)
    }

    /// The source's value now, if it still fits.
    async fn read_again(&self) -> Result<FreshValue, MirrorError> {
        let source = &self.wanted.source;
        let mirrored = || source.to_string();
        let read = tokio::time::timeout_at(self.deadline, self.keeper.fresh.read(source, self.deadline)).await;
        let fresh = match read {
            Err(_) => return Err(MirrorError::Source { mirrored: mirrored(), why: "it took too long".to_owned() }),
            Ok(Err(FreshError::Failed(why))) => return Err(MirrorError::Source { mirrored: mirrored(), why }),
            Ok(Err(error)) => return Err(MirrorError::Changed { mirrored: mirrored(), how: error.to_string() }),
            Ok(Ok(fresh)) => fresh,
        };
        match check(&fresh.value, self.wanted.form, source) {
            Err(MirrorError::NotText { mirrored }) => {
                Err(MirrorError::Changed { mirrored, how: "it is no longer UTF-8".to_owned() })
            }
            checked => checked.map(|()| fresh),
        }
    }

    fn secrets(&self) -> Secrets {
        Secrets::new(self.keeper.client.clone(), self.namespace).until(self.deadline)
    }

    fn taken(&self) -> MirrorError {
        MirrorError::Taken {
            namespace: self.namespace.to_owned(),
            name: self.wanted.name.clone(),
            mirrored: self.wanted.source.to_string(),
        }
    }
}

fn holds(mirror: &Wiped, value: &SecretValue) -> bool {
    marks::value(mirror) == Some(value.expose_bytes())
}

/// Whether a value fits into a mirror of this form.
pub(super) fn check(value: &SecretValue, form: Form, source: &MirrorSource) -> Result<(), MirrorError> {
    let size = value.expose_bytes().len();
    if size > MAX_VALUE {
        return Err(MirrorError::TooLarge { mirrored: source.to_string(), size });
    }
    if form == Form::Env && value.expose_text().is_none() {
        return Err(MirrorError::NotText { mirrored: source.to_string() });
    }
    Ok(())
}

/// What time it is, for annotations.
#[derive(Default)]
pub(super) enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A time that goes on as tokio's clock does, which tests can stop.
    #[cfg(test)]
    Logical(SystemTime, Instant),
}

impl Clock {
    pub(super) fn now(&self) -> SystemTime {
        match self {
            Self::System => SystemTime::now(),
            #[cfg(test)]
            Self::Logical(start, began) => *start + began.elapsed(),
        }
    }
}
