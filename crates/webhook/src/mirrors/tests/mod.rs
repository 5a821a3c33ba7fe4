//! What the tests share: a source that can be changed, an observer that counts, and replicas over one fake API server.

mod collect;
mod keep;
mod remove;
mod schedules;

use std::sync::Mutex;

use data_encoding::BASE64;
use flyte_secrets_core::mirror::{CHANGING, CONDEMNED, NEEDED, VALUE_KEY, mirror_name};
use serde_json::{Value, json};

use super::keep::Clock;
use super::*;
use crate::kubernetes::fake_api_server::FakeApiServer;

/// The one source of most tests.
fn source() -> MirrorSource {
    MirrorSource::Embedded { id: "u__org__o__domain__d__project__p__key__k".to_owned() }
}

fn name() -> String {
    mirror_name("a", &source(), Form::Env)
}

fn text(value: &str) -> SecretValue {
    SecretValue::text(value.to_owned())
}

fn wanted(value: &str) -> WantedMirror {
    let fetched = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    WantedMirror { name: name(), source: source(), form: Form::Env, value: text(value), fetched }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// A store with one value; clones share it.
#[derive(Clone)]
struct Store(Arc<Mutex<(Result<String, FreshError>, usize)>>);

impl Store {
    fn holding(value: &str) -> Self {
        Self(Arc::new(Mutex::new((Ok(value.to_owned()), 0))))
    }

    fn set(&self, value: &str) {
        self.0.lock().unwrap().0 = Ok(value.to_owned());
    }

    fn fail(&self, error: FreshError) {
        self.0.lock().unwrap().0 = Err(error);
    }

    fn reads(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

impl FreshValues for Store {
    fn read<'a>(&'a self, _: &'a MirrorSource, _: Instant) -> BoxFuture<'a, Result<FreshValue, FreshError>> {
        let mut inner = self.0.lock().unwrap();
        inner.1 += 1;
        let value = inner.0.clone();
        Box::pin(async move { value.map(|value| FreshValue { value: text(&value), fetched: SystemTime::UNIX_EPOCH }) })
    }
}

#[derive(Clone, Default)]
struct Writes(Arc<Mutex<Vec<Write>>>);

impl Writes {
    fn taken(&self) -> Vec<Write> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl MirrorObserver for Writes {
    fn wrote(&self, write: Write) {
        self.0.lock().unwrap().push(write);
    }
}

/// Two replicas with a store, over one API server.
struct Bed {
    server: FakeApiServer,
    store: Store,
    writes: Writes,
    began: Instant,
}

impl Bed {
    fn new(value: &str) -> Self {
        let (server, store) = (FakeApiServer::default(), Store::holding(value));
        Self { server, store, writes: Writes::default(), began: Instant::now() }
    }

    /// One replica, without a memo: every admission asks.
    fn replica(&self) -> Mirrors {
        self.replica_with(MirrorSettings { memo: Duration::ZERO, ..MirrorSettings::default() })
    }

    fn replica_with(&self, settings: MirrorSettings) -> Mirrors {
        let (fresh, observer) = (Arc::new(self.store.clone()), Arc::new(self.writes.clone()));
        let memo = Arc::new(Memo::new(settings.memo));
        let mut keeper = Keeper::new(self.server.client(), fresh, settings, observer);
        keeper.clock = Clock::Logical(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000), self.began);
        Mirrors { keeper: Arc::new(keeper), memo }
    }

    fn mirror(&self) -> Option<Value> {
        self.server.cluster().get_in("a", "secrets", &name()).cloned()
    }

    /// The mirror's value; none if there is no mirror.
    fn value(&self) -> Option<String> {
        let value = self.mirror()?["data"][VALUE_KEY].as_str().unwrap().to_owned();
        Some(String::from_utf8(BASE64.decode(value.as_bytes()).unwrap()).unwrap())
    }

    fn has(&self, annotation: &str) -> bool {
        !self.mirror().unwrap()["metadata"]["annotations"][annotation].is_null()
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.server.cluster().requests)
    }
}
