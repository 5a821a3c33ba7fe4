//! The API server's audit log: what a ServiceAccount has asked for, and whether it might.

use serde_json::Value;

use super::grants::Right;
use crate::harness::bed;

/// One request of a ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    /// The ServiceAccount's name.
    pub(crate) account: String,
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    /// Empty: of the whole cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) allowed: bool,
}

impl Asked {
    /// Whether a right is enough for this request, as RBAC reads it.
    pub(crate) fn by(&self, right: &Right) -> bool {
        let named = right.name.is_empty() || right.name == self.name;
        let there = right.namespace.is_empty() || right.namespace == self.namespace;
        let what = (&right.group, &right.resource, &right.verb) == (&self.group, &self.resource, &self.verb);
        self.account == right.account && named && there && what
    }
}

/// Everything on resources that the ServiceAccounts of a namespace have asked for until now, each request once.
pub(crate) fn asked(namespace: &str) -> Vec<Asked> {
    let log = std::fs::read_to_string(bed().kubeconfig.with_file_name("log").join("audit.log")).unwrap();
    let user = format!("system:serviceaccount:{namespace}:");
    let mut all: Vec<_> = log
        .lines()
        // The last line may be half written.
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|entry| {
            let account = entry["user"]["username"].as_str()?.strip_prefix(&user)?.to_owned();
            let object = entry["objectRef"].as_object()?;
            let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let part = text("subresource");
            let resource = if part.is_empty() { text("resource") } else { format!("{}/{part}", text("resource")) };
            Some(Asked {
                account,
                verb: entry["verb"].as_str()?.to_owned(),
                group: text("apiGroup"),
                resource,
                namespace: text("namespace"),
                name: text("name"),
                allowed: entry["annotations"]["authorization.k8s.io/decision"] == "allow",
            })
        })
        .collect();
    all.sort();
    all.dedup();
    all
}
