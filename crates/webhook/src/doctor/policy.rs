//! The access policy: what it keeps apart, and what not.

use flyte_secrets_core::Settings;
use flyte_secrets_core::access;
use flyte_secrets_core::settings::AccessMode;

use super::finding::Finding;
use super::ids::Id;

pub(super) fn judge(settings: &Settings) -> Vec<Finding> {
    let place = "webhook.accessPolicy";
    let notes = access::warnings(&settings.access, settings.profile);
    let mut findings: Vec<Finding> = match settings.access.mode {
        AccessMode::Off => {
            let note = notes.into_iter().map(|note| Finding::warning(Id::PolicyOff, note));
            return note.map(|finding| finding.at(place).remedy("webhook.accessPolicy.mode: Enforce")).collect();
        }
        AccessMode::Audit => {
            let what =
                "mode is Audit: a pod that breaks the policy is served all the same, with a warning and a metric";
            vec![Finding::warning(Id::PolicyAudits, what).remedy("webhook.accessPolicy.mode: Enforce")]
        }
        AccessMode::Enforce => Vec::new(),
    };
    findings.extend(notes.into_iter().map(|note| Finding::warning(Id::PolicyGap, note)));
    if findings.is_empty() {
        let what = "Enforce: a pod gets the secrets of the project and domain whose namespace it is in";
        findings.push(Finding::ok(Id::PolicyKeepsApart, what));
    }
    findings.into_iter().map(|finding| finding.at(place)).collect()
}

#[cfg(test)]
mod tests {
    use flyte_secrets_core::Profile;

    use super::super::check::Level;
    use super::*;

    fn judged(mode: AccessMode, namespaces: &[&str]) -> Vec<(Id, Level)> {
        let mut settings = Settings::defaults(Profile::Flyte2);
        settings.access.mode = mode;
        settings.access.organizations = vec!["flyte".to_owned()];
        settings.access.namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        judge(&settings).iter().map(|finding| (finding.id, finding.level)).collect()
    }

    #[test]
    fn a_policy_says_what_it_does_not_keep_apart() {
        let gap = (Id::PolicyGap, Level::Warning);
        for (mode, namespaces, expected) in [
            (AccessMode::Off, &["flyte"][..], vec![(Id::PolicyOff, Level::Warning)]),
            (AccessMode::Enforce, &["{project}-{domain}"], vec![(Id::PolicyKeepsApart, Level::Ok)]),
            (AccessMode::Enforce, &["{project}-{domain}", "flyte"], vec![gap]),
            (AccessMode::Audit, &["{project}-{domain}"], vec![(Id::PolicyAudits, Level::Warning)]),
            (AccessMode::Audit, &["flyte"], vec![(Id::PolicyAudits, Level::Warning), gap]),
        ] {
            assert_eq!(judged(mode, namespaces), expected, "{mode:?} {namespaces:?}");
        }
    }
}
