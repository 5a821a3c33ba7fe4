//! What a plugin calls: `SecretManager::get(key)`, handed to it by its `TaskExecutionContext`.
