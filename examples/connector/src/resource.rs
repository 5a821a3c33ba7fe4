//! What Flyte keeps for us between its calls: where the Job is, and whose it is. No secret and no name of one.

use flyte_secrets_sdk::plugins::TaskExecutionId;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The largest that is read, in bytes.
const MAX: usize = 16 << 10;

/// `resource_meta` of the protocol, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct ResourceMeta {
    pub(crate) namespace: String,
    pub(crate) job: String,
    pub(crate) org: String,
    pub(crate) project: String,
    pub(crate) domain: String,
}

impl ResourceMeta {
    pub(crate) fn write(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|error| Failure::Invalid(format!("the task's names cannot be kept: {error}")))
    }

    /// Reads what [`ResourceMeta::write`] wrote, and checks it: it comes from outside, and stands in URLs.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let wrong =
            || Failure::Invalid("resource_meta is not what CreateTask of this connector has answered".to_owned());
        if bytes.len() > MAX {
            return Err(wrong());
        }
        let meta: Self = serde_json::from_slice(bytes).map_err(|_| wrong())?;
        if is_dns_label(&meta.namespace) && is_dns_label(&meta.job) { Ok(meta) } else { Err(wrong()) }
    }

    /// The task's place among secrets.
    pub(crate) fn task(&self) -> TaskExecutionId {
        let Self { org, project, domain, .. } = self.clone();
        TaskExecutionId { org, project, domain, ..TaskExecutionId::default() }
    }
}

/// RFC 1123, as Kubernetes has it for the names of namespaces.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn meta() -> ResourceMeta {
        let [namespace, job, org, project, domain] = ["ns", "job-1", "flyte", "p", "d"].map(str::to_owned);
        ResourceMeta { namespace, job, org, project, domain }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(ResourceMeta::read(&meta().write().unwrap()).unwrap(), meta());
    }

    #[test]
    fn names_that_would_change_a_url_are_refused() {
        for wrong in ["", "a/b", "..", "A", "a?b", "a%2f", "-a", &"a".repeat(64)] {
            let with = ResourceMeta { job: wrong.to_owned(), ..meta() };
            assert!(ResourceMeta::read(&with.write().unwrap()).is_err(), "{wrong}");
        }
        for bytes in [&b""[..], b"null", b"{}", &[b'x'; MAX + 1]] {
            assert!(ResourceMeta::read(bytes).is_err());
        }
    }
}
