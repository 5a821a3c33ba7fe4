//! What a look-up asks, in its order.

use std::sync::Arc;

use flyte_secrets_core::encoded_id::SecretId;

/// One store, asked for one scope of a secret.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) id: Arc<SecretId>,
    pub(super) key: Key,
}

/// What makes two questions the same: the number of the store and the encoded id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) store: usize,
    pub(super) id: Arc<str>,
}

/// The questions for a secret: scopes from narrow to wide, within a scope the stores in their order. A scope that equals
/// its neighbour stands here once.
pub(super) fn questions(id: &SecretId, stores: usize) -> Vec<Question> {
    let mut scopes = id.scopes().to_vec();
    scopes.dedup();
    let of_scope = |scope: SecretId| {
        let encoded: Arc<str> = scope.to_string().into();
        let id = Arc::new(scope);
        (0..stores).map(move |store| Question { id: Arc::clone(&id), key: Key { store, id: Arc::clone(&encoded) } })
    };
    scopes.into_iter().flat_map(of_scope).collect()
}
