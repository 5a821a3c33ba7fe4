//! What collecting mirrors needs of RBAC.

use super::Mirrors;
use crate::kubernetes::{ApiError, Object, Verb, allowed};

/// Beyond `get`, `create` and `update` on Secrets, which keeping mirrors needs.
const NEEDED: [(&str, Verb); 3] = [("secrets", Verb::List), ("secrets", Verb::Delete), ("pods", Verb::List)];

impl Mirrors {
    /// The rules of a ClusterRole that are missing for collecting mirrors; empty if there are all.
    ///
    /// # Errors
    ///
    /// When the API server does not tell.
    pub async fn missing_permissions(&self) -> Result<Vec<String>, ApiError> {
        let mut missing = Vec::new();
        for (resource, verb) in NEEDED {
            let object = Object { group: "", resource, namespace: None, name: String::new() };
            if !allowed(&self.keeper.client, &object, verb).await? {
                missing.push(object.rule(verb));
            }
        }
        Ok(missing)
    }
}
