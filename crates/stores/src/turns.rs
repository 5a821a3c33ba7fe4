//! Who may write a secret next.

use std::hash::{BuildHasher, RandomState};

use flyte_secrets_core::encoded_id::SecretId;
use tokio::sync::{Mutex, MutexGuard};

/// Writers of one secret take turns; so many secrets, give or take, can be written at once.
const TURNS: usize = 64;

/// Writers of one secret within this process go one by one, so that they do not get into each other's way; writers in other
/// processes are told apart by the store.
pub(crate) struct Turns {
    shards: [Mutex<()>; TURNS],
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

impl Turns {
    pub(crate) async fn take(&self, id: &SecretId) -> MutexGuard<'_, ()> {
        let shard = self.hasher.hash_one(id) % TURNS as u64;
        self.shards[usize::try_from(shard).expect("a remainder of 64 fits")].lock().await
    }
}
