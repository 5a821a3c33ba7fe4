//! What a task calls: `current_context().secrets().get(group, key)`, with the names and paths of flytekit.
