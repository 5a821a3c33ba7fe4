//! Nobody gets another project's secrets: no namespace is two projects', whatever they are called.
#![allow(missing_docs)]

use flyte_secrets_core::access::{Claim, check};
use flyte_secrets_core::settings::{AccessMode, AccessSettings};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Names of up to three parts, so that many of them come to the same namespaces.
fn names() -> Vec<String> {
    let mut names: Vec<String> = ["a", "b"].map(str::to_owned).to_vec();
    for _ in 0..2 {
        let longer: Vec<String> =
            names.iter().flat_map(|name| ["a", "b"].map(|part| format!("{name}-{part}"))).collect();
        names.extend(longer);
        names.sort();
        names.dedup();
    }
    names
}

fn name() -> impl Strategy<Value = String> {
    select(names())
}

fn domains() -> impl Strategy<Value = Vec<String>> {
    subsequence(names(), 0..=4)
}

fn templates() -> impl Strategy<Value = Vec<String>> {
    let all = ["{project}-{domain}", "{domain}-{project}", "a-{project}-{domain}", "{project}-b-{domain}"];
    let organizations = ["{organization}-{project}-{domain}", "{project}-{organization}-{domain}"];
    let all: Vec<String> = all.into_iter().chain(organizations).map(str::to_owned).collect();
    subsequence(all, 1..=4).prop_shuffle()
}

fn settings(domains: Vec<String>, namespaces: Vec<String>) -> AccessSettings {
    let organizations = ["a", "a-b"].map(str::to_owned).to_vec();
    AccessSettings { mode: AccessMode::Enforce, organizations, domains, namespaces, trusted_creators: Vec::new() }
}

fn believed(settings: &AccessSettings, organization: &str, project: &str, domain: &str, namespace: &str) -> bool {
    let organization = Some(organization);
    let claim = Claim { namespace, creator: "", organization, project: Some(project), domain: Some(domain) };
    check(settings, &claim).is_ok()
}

/// All projects and domains that a namespace is believed for.
fn owners(settings: &AccessSettings, organization: &str, namespace: &str) -> Vec<(String, String)> {
    let names = names();
    let pairs = names.iter().flat_map(|project| names.iter().map(move |domain| (project.clone(), domain.clone())));
    pairs.filter(|(project, domain)| believed(settings, organization, project, domain, namespace)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_namespace_is_one_projects_at_most(
        domains in domains(), templates in templates(), one in name(), other in name(), organization in select(vec!["a", "a-b"]),
    ) {
        let settings = settings(domains, templates);
        for namespace in [one.clone(), format!("{one}-{other}"), format!("{organization}-{one}-{other}")] {
            let owners = owners(&settings, organization, &namespace);
            prop_assert!(owners.len() <= 1, "{namespace} is of {owners:?} by {settings:?}");
        }
    }

    #[test]
    fn what_is_believed_is_what_flyte_makes_of_project_and_domain(domains in domains(), one in name(), other in name()) {
        let settings = settings(domains, vec!["{project}-{domain}".to_owned()]);
        let namespace = format!("{one}-{other}");
        for (project, domain) in owners(&settings, "a", &namespace) {
            prop_assert_eq!(format!("{project}-{domain}"), &*namespace);
        }
    }

    #[test]
    fn what_flyte_makes_is_believed_where_the_domain_can_be_told(domains in domains(), project in name(), domain in name()) {
        let namespace = format!("{project}-{domain}");
        // A longer configured domain at the namespace's end, with a project before it, is the one that is meant.
        let is_longer = |other: &String| {
            other.len() > domain.len() && namespace.strip_suffix(&**other).is_some_and(|rest| rest.len() > 1 && rest.ends_with('-'))
        };
        let told = domains.contains(&domain) || !domain.contains('-');
        let expected = told && !domains.iter().any(is_longer);
        let settings = settings(domains, vec!["{project}-{domain}".to_owned()]);
        prop_assert_eq!(believed(&settings, "a", &project, &domain, &namespace), expected);
    }
}
