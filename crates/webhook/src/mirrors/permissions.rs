//! What collecting mirrors needs of RBAC.

use super::Mirrors;
use crate::kubernetes::{ApiError, Object, Verb, allowed};

/// For keeping mirrors.
pub(crate) const KEEPING: [(&str, Verb); 3] =
    [("secrets", Verb::Get), ("secrets", Verb::Create), ("secrets", Verb::Update)];
/// For collecting them, beyond that.
pub(crate) const COLLECTING: [(&str, Verb); 3] =
    [("secrets", Verb::List), ("secrets", Verb::Delete), ("pods", Verb::List)];

impl Mirrors {
    /// The rules of a ClusterRole that are missing for collecting mirrors; empty if there are all.
    ///
    /// # Errors
    ///
    /// When the API server does not tell.
    pub async fn missing_permissions(&self) -> Result<Vec<String>, ApiError> {
        self.missing(COLLECTING).await
    }

    /// Says what RBAC keeps us from, if there is anything: at start, rather than at the first pod.
    pub(super) async fn warn_of_missing_permissions(&self) -> Result<(), ApiError> {
        let missing = self.missing(KEEPING).await?;
        if !missing.is_empty() {
            tracing::warn!(
                missing = missing.join(", "),
                "pods whose secrets come by reference are refused in every namespace where no Role allows what the \
                 ClusterRole of our service account lacks; add these rules, or set webhook.delivery: PodSpec"
            );
        }
        Ok(())
    }

    async fn missing(&self, needed: [(&'static str, Verb); 3]) -> Result<Vec<String>, ApiError> {
        let mut missing = Vec::new();
        for (resource, verb) in needed {
            let object = Object { group: "", resource, namespace: None, name: String::new() };
            if !allowed(&self.keeper.client, &object, verb).await? {
                missing.push(object.rule(verb));
            }
        }
        Ok(missing)
    }
}
