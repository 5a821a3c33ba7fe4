#![allow(clippy::unwrap_used)]

use super::*;
use crate::settings::{AccessMode, Profile};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

/// As the configuration fills them in for Flyte 2.
fn defaults() -> AccessSettings {
    AccessSettings {
        mode: AccessMode::Enforce,
        organizations: texts(&["flyte"]),
        domains: Vec::new(),
        namespaces: texts(&["{project}-{domain}", "flyte"]),
        trusted_creators: Vec::new(),
    }
}

fn with_domains(domains: &[&str]) -> AccessSettings {
    AccessSettings { domains: texts(domains), ..defaults() }
}

fn with_namespaces(namespaces: &[&str]) -> AccessSettings {
    AccessSettings { namespaces: texts(namespaces), ..defaults() }
}

/// A pod of Flyte 2.
fn claim<'a>(project: &'a str, domain: &'a str, namespace: &'a str) -> Claim<'a> {
    Claim {
        namespace,
        creator: "system:serviceaccount:flyte:flyte-binary",
        organization: Some("flyte"),
        project: Some(project),
        domain: Some(domain),
    }
}

fn breach(settings: &AccessSettings, claim: &Claim<'_>) -> (Rule, String) {
    let breach = check(settings, claim).unwrap_err();
    (breach.rule, breach.to_string())
}

#[test]
fn both_standard_installations_pass() {
    let flyte1 = AccessSettings { namespaces: texts(&["{project}-{domain}"]), ..defaults() };
    let pod_of_flyte1 = Claim { organization: None, ..claim("flytesnacks", "development", "flytesnacks-development") };
    assert_eq!(check(&flyte1, &pod_of_flyte1), Ok(()));
    for namespace in ["flytesnacks-development", "flyte"] {
        assert_eq!(check(&defaults(), &claim("flytesnacks", "development", namespace)), Ok(()));
    }
}

#[test]
fn a_claim_is_what_the_labels_say_and_an_empty_label_claims_nothing() {
    let pod = br#"{"metadata": {"labels": {"project": "p", "domain": ""}}}"#;
    let pod = PodOutline::parse(pod).unwrap();
    let Claim { namespace, creator, organization, project, domain } = Claim::of(&pod, "n", "u");
    assert_eq!((namespace, creator, organization, project, domain), ("n", "u", None, Some("p"), None));
}

#[test]
fn an_organization_must_be_a_configured_one() {
    let claim = Claim { organization: Some("other"), ..claim("p", "d", "p-d") };
    assert_eq!(
        breach(&defaults(), &claim),
        (
            Rule::Organization,
            "does not serve the organization \"other\", claimed in the namespace \"p-d\" (rule organization of the \
             access policy: it is none of this installation's); to allow it, set webhook.accessPolicy.organizations: \
             [\"flyte\", \"other\"]"
                .to_owned()
        )
    );
    let allowed = AccessSettings { organizations: texts(&["flyte", "other"]), ..defaults() };
    assert_eq!(check(&allowed, &claim), Ok(()));
}

#[test]
fn a_namespace_must_be_the_one_of_the_project_and_domain() {
    for namespace in ["evil", "q-d", "p-e", "p-d-d", "x-p-d", "p", "d-p", "flyte2", ""] {
        assert_eq!(breach(&defaults(), &claim("p", "d", namespace)).0, Rule::Namespace, "{namespace}");
    }
    assert_eq!(
        breach(&defaults(), &claim("p", "d", "evil")).1,
        "does not serve the project \"p\" in the domain \"d\", claimed in the namespace \"evil\" (rule namespace of the \
         access policy: it is none that Flyte uses for them); to allow it, set webhook.accessPolicy.namespaces: \
         [\"{project}-{domain}\", \"flyte\", \"evil\"], which lets every pod in that namespace claim any project"
    );
    let (_, text) = breach(&defaults(), &claim("p", "d", "team-x"));
    assert!(text.contains("it is the namespace of project \"team\", domain \"x\")"), "{text}");
    assert_eq!(check(&with_namespaces(&["{project}-{domain}", "flyte", "evil"]), &claim("p", "d", "evil")), Ok(()));
}

#[test]
fn a_namespace_is_read_from_its_end_by_the_longest_configured_domain() {
    for (domains, namespace, owner) in [
        (&[][..], "a-b-c", ("a-b", "c")),
        (&["c"], "a-b-c", ("a-b", "c")),
        (&["b-c"], "a-b-c", ("a", "b-c")),
        (&["c", "b-c"], "a-b-c", ("a", "b-c")),
        (&["b-c", "a-b-c"], "a-b-c", ("a", "b-c")),
        (&["b-c", "a-b-c"], "x-a-b-c", ("x", "a-b-c")),
        (&["b-c"], "b-c", ("b", "c")),
        (&["b-c"], "ab-c", ("ab", "c")),
    ] {
        let settings = with_domains(domains);
        for (project, domain) in [("a-b", "c"), ("a", "b-c"), ("x", "a-b-c"), ("x-a", "b-c"), ("b", "c"), ("ab", "c")] {
            let believed = check(&settings, &claim(project, domain, namespace)).is_ok();
            assert_eq!(believed, (project, domain) == owner, "{domains:?} {namespace} {project} {domain}");
        }
    }
}

#[test]
fn a_domain_with_a_dash_that_is_not_configured_is_told_with_its_line() {
    let (_, text) = breach(&with_domains(&["d"]), &claim("a", "b-c", "a-b-c"));
    let why = "it is the namespace of project \"a-b\", domain \"c\", unless \"b-c\" is a domain of this installation";
    assert!(text.contains(why), "{text}");
    assert!(text.ends_with("to allow it, set webhook.accessPolicy.domains: [\"d\", \"b-c\"]"), "{text}");
    assert_eq!(check(&with_domains(&["d", "b-c"]), &claim("a", "b-c", "a-b-c")), Ok(()));
}

#[test]
fn a_template_needs_the_labels_of_its_variables() {
    let named = Claim { domain: None, ..claim("p", "d", "p-d") };
    let (_, text) = breach(&defaults(), &named);
    assert!(text.starts_with("does not serve the project \"p\" without a domain, "), "{text}");
    assert!(text.contains("and the pod has no label \"domain\""), "{text}");
    let nameless = Claim { project: None, ..named };
    assert!(breach(&defaults(), &nameless).1.starts_with("does not serve pods without the labels "));
    let shared = Claim { namespace: "flyte", ..nameless };
    assert_eq!(check(&defaults(), &shared), Ok(()), "a name that is listed is everybody's");
}

#[test]
fn other_templates_are_read_without_doubt_or_not_at_all() {
    let read = |template: &str, namespace: &str| {
        let settings =
            AccessSettings { organizations: texts(&["a", "a-b"]), domains: texts(&["dev", "pre-prod"]), ..defaults() };
        let place = Template::parse(template).unwrap().read(&settings, namespace)?;
        Some(Variable::ALL.map(|variable| place.get(variable).unwrap_or_default().to_owned()))
    };
    for (template, namespace, expected) in [
        ("{domain}-{project}", "dev-my-team", Some(["", "my-team", "dev"])),
        ("{domain}-{project}", "pre-prod-x", Some(["", "x", "pre-prod"])),
        ("{domain}-{project}", "qa-my-team", Some(["", "my-team", "qa"])),
        ("{organization}-{project}-{domain}", "a-b-c-dev", Some(["a-b", "c", "dev"])),
        ("{organization}-{project}-{domain}", "a-b-dev", Some(["a", "b", "dev"])),
        ("{organization}-{project}-{domain}", "z-b-dev", None),
        ("flyte-{project}-{domain}-x", "flyte-a-b-dev-x", Some(["", "a-b", "dev"])),
        ("flyte-{project}-{domain}-x", "flyte--dev-x", None),
        ("{project}", "a-b", Some(["", "a-b", ""])),
        ("{domain}", "a-b", None),
        ("{domain}", "pre-prod", Some(["", "", "pre-prod"])),
        // `0` may stand in a project and in a domain, so only a configured domain can be told.
        ("{project}0{domain}", "a0b0c", None),
        ("{project}0{domain}", "a0b0dev", Some(["", "a0b", "dev"])),
        ("flyte", "flyte", Some(["", "", ""])),
        ("flyte", "flytes", None),
    ] {
        let expected = expected.map(|parts| parts.map(str::to_owned));
        assert_eq!(read(template, namespace), expected, "{template} {namespace}");
    }
}

#[test]
fn the_first_template_that_can_be_read_decides() {
    let settings = with_namespaces(&["team-{project}-{domain}", "{project}-{domain}"]);
    assert_eq!(check(&settings, &claim("a", "b", "team-a-b")), Ok(()));
    assert_eq!(check(&settings, &claim("a", "b", "a-b")), Ok(()));
    assert_eq!(breach(&settings, &claim("team-a", "b", "team-a-b")).0, Rule::Namespace);
}

#[test]
fn a_text_that_is_no_template_is_told_apart() {
    for (text, expected) in [
        ("{project}-{domain", TemplateError::Unclosed),
        ("{projekt}-{domain}", TemplateError::UnknownVariable("projekt".to_owned())),
        ("{project}-{project}", TemplateError::Twice("project")),
        ("{project}{domain}", TemplateError::Adjacent),
        ("{project}-", TemplateError::NoName),
        ("Flyte", TemplateError::NoName),
        ("project}", TemplateError::NoName),
        ("", TemplateError::NoName),
        (&"x".repeat(64), TemplateError::NoName),
    ] {
        assert_eq!(Template::parse(text), Err(expected), "{text:?}");
        let settings = with_namespaces(&[text]);
        assert!(check(&settings, &claim("p", "d", "p-d")).is_err());
    }
}

#[test]
fn where_creators_are_named_nobody_else_may_create_the_pod() {
    let trusted =
        AccessSettings { trusted_creators: texts(&["system:serviceaccount:flyte:flyte-binary"]), ..defaults() };
    assert_eq!(check(&trusted, &claim("p", "d", "p-d")), Ok(()));
    let other = Claim { creator: "alice", ..claim("p", "d", "p-d") };
    assert_eq!(
        breach(&trusted, &other),
        (
            Rule::Creator,
            "does not serve pods that \"alice\" creates in the namespace \"p-d\" (rule creator of the access policy: it \
             is no trusted creator); to allow it, set webhook.accessPolicy.trustedCreators: \
             [\"system:serviceaccount:flyte:flyte-binary\", \"alice\"]"
                .to_owned()
        )
    );
    let controller = Claim { creator: "system:serviceaccount:kube-system:job-controller", ..other };
    assert!(breach(&trusted, &controller).1.contains("trusting it trusts everybody"));
    assert_eq!(check(&defaults(), &other), Ok(()), "without a list everybody may");
}

#[test]
fn a_breach_is_bounded_and_shows_control_characters_plain() {
    let long = format!("a\n{}", "x".repeat(100_000));
    let settings = AccessSettings {
        organizations: vec!["o".repeat(100_000)],
        namespaces: vec!["n".repeat(100_000)],
        trusted_creators: vec!["c".repeat(100_000)],
        ..defaults()
    };
    let claim = Claim { organization: Some(&long), ..claim("p", "d", "evil") };
    let in_namespace = Claim { organization: None, project: Some(&long), namespace: &long, ..claim };
    let by_creator = Claim { organization: None, creator: &long, ..claim };
    let open = AccessSettings { namespaces: texts(&["evil"]), ..settings.clone() };
    for (settings, claim, rule) in [
        (&settings, claim, Rule::Organization),
        (&settings, in_namespace, Rule::Namespace),
        (&open, by_creator, Rule::Creator),
    ] {
        let (broken, text) = breach(settings, &claim);
        assert_eq!(broken, rule);
        assert!(text.len() < 1500 && !text.contains('\n') && text.contains("[…, "), "{text}");
    }
}

#[test]
fn an_operator_is_told_what_is_not_kept_apart() {
    let told = |settings: &AccessSettings, profile: Profile, words: &[&str]| {
        let warnings = warnings(settings, profile);
        assert_eq!(warnings.len(), words.len(), "{warnings:?}");
        for (warning, words) in warnings.iter().zip(words) {
            assert!(warning.contains(words), "{warning}");
        }
    };
    let flyte2 = |settings: &AccessSettings, words: &[&str]| told(settings, Profile::Flyte2, words);
    let trusting = |creators: &[&str]| AccessSettings { trusted_creators: texts(creators), ..defaults() };

    told(&with_namespaces(&["{project}-{domain}"]), Profile::Flyte1, &[]);
    flyte2(&AccessSettings { mode: AccessMode::Off, ..defaults() }, &["mode is Off"]);
    flyte2(&defaults(), &["\"flyte\" projects and domains are not separated"]);
    flyte2(&with_namespaces(&["{domain}"]), &["\"{domain}\" projects are not separated"]);
    flyte2(&with_namespaces(&["{project}"]), &["\"{project}\" domains are not separated"]);
    let two = AccessSettings { organizations: texts(&["a", "b"]), ..with_namespaces(&["{project}-{domain}"]) };
    flyte2(&two, &["organizations are not separated"]);

    flyte2(&trusting(&["system:serviceaccount:flyte:flyte-binary"]), &[]);
    for controller in ["system:serviceaccount:kube-system:job-controller", "system:kube-controller-manager"] {
        flyte2(&trusting(&[controller]), &["proves nothing about who asked"]);
    }
    for pattern in ["system:serviceaccount:flyte:*", "system:serviceaccounts:flyte"] {
        flyte2(&trusting(&[pattern]), &["fits none"]);
    }

    let domains = AccessSettings { domains: texts(&["prod", "pre-prod"]), ..with_namespaces(&["{project}-{domain}"]) };
    flyte2(&domains, &["a project whose name ends in \"-pre\" is refused in the domain \"prod\""]);
    let organization = with_namespaces(&["{organization}-{project}-{domain}"]);
    told(&organization, Profile::Flyte1, &["fits no pod of Flyte 1"]);
    flyte2(&organization, &[]);
    flyte2(&with_namespaces(&["{x}"]), &["it is ignored"]);
    let first = AccessSettings { trusted_creators: texts(&["x"]), ..with_namespaces(&["{project}", "a-{project}"]) };
    flyte2(&first, &["put it last"]);
}
