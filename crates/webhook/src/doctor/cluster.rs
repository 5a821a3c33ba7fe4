//! The API server: is it there, how old is it, and what does its version allow?

use serde::Deserialize;

use super::api::{Reader, could_not_look};
use super::finding::Finding;
use super::ids::Id;
use crate::kubernetes::{ApiError, ApiErrorKind};

/// The oldest supported version: `matchConditions` are stable since 1.30.
const OLDEST: u32 = 30;
/// The newest version that the end-to-end tests run.
const TESTED: u32 = 36;
/// What came with a version, from Kubernetes' feature gates
/// (<https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates/>): stable, or on by default.
const FEATURES: [(u32, &str); 3] =
    [(29, "native sidecars"), (30, "matchConditions"), (35, "fileKeyRef (for webhook.delivery: EnvFile)")];

/// The answer of `/version`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    pub(super) git_version: String,
}

impl Version {
    /// The minor version; vendors add to the text (`v1.30.4-eks-a737599`).
    fn minor(&self) -> Option<u32> {
        let rest = self.git_version.strip_prefix("v1.")?;
        rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
    }
}

pub(super) async fn ask(reader: &Reader) -> Result<Version, ApiError> {
    reader.page_of_server("version").await
}

pub(super) fn judge(version: &Result<Version, ApiError>) -> Vec<Finding> {
    let version = match version {
        Ok(version) => version,
        Err(error) if error.kind == ApiErrorKind::Unreachable => {
            return vec![
                Finding::error(Id::ClusterUnreachable, format!("the API server does not answer: {}", error.message))
                    .remedy("kubectl version --request-timeout=10s; look at the server and the user in KUBECONFIG"),
            ];
        }
        Err(error) => return vec![could_not_look(error)],
    };
    let Version { git_version, .. } = version;
    let Some(minor) = version.minor() else {
        return vec![Finding::info(Id::ClusterUntested, format!("Kubernetes {git_version}: an unknown version"))];
    };
    if minor < OLDEST {
        let what = format!("Kubernetes {git_version} is older than 1.{OLDEST}, the oldest version that is supported");
        return vec![Finding::error(Id::ClusterTooOld, what).remedy(format!("upgrade to 1.{OLDEST} or newer"))];
    }
    let mut findings = vec![Finding::ok(Id::ClusterVersion, format!("Kubernetes {git_version}: {}", features(minor)))];
    if minor > TESTED {
        let what = format!("1.{minor} is newer than 1.{TESTED}, the newest version that this program was tested with");
        findings.push(Finding::info(Id::ClusterUntested, what));
    }
    findings
}

fn features(minor: u32) -> String {
    let listed = FEATURES.map(|(since, feature)| match since <= minor {
        true => feature.to_owned(),
        false => format!("no {feature} before 1.{since}"),
    });
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::check::Level;
    use super::*;

    fn judged(version: &str) -> Vec<(Id, Level)> {
        let findings = judge(&Ok(Version { git_version: version.to_owned() }));
        findings.iter().map(|finding| (finding.id, finding.level)).collect()
    }

    #[test]
    fn a_version_is_supported_from_the_oldest_on_and_untested_behind_the_newest() {
        let fine = (Id::ClusterVersion, Level::Ok);
        for (version, expected) in [
            ("v1.29.15", vec![(Id::ClusterTooOld, Level::Error)]),
            ("v1.30.0", vec![fine]),
            ("v1.30.4-eks-a737599", vec![fine]),
            ("v1.36.3+k3s1", vec![fine]),
            ("v1.37.0", vec![fine, (Id::ClusterUntested, Level::Info)]),
            ("mine", vec![(Id::ClusterUntested, Level::Info)]),
        ] {
            assert_eq!(judged(version), expected, "{version}");
        }
    }

    #[test]
    fn what_a_version_allows_is_said_and_what_not() {
        assert!(features(34).contains("no fileKeyRef"));
        assert!(!features(35).contains("no "));
    }
}
