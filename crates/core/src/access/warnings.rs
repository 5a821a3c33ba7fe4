//! What a policy does not keep apart: for the log at start-up, for `doctor`, for whoever reads the configuration.

use super::{Template, Variable};
use crate::settings::{AccessMode, AccessSettings, Profile};

/// What an operator should know of a policy, one sentence each; empty where it keeps everything apart.
#[must_use]
pub fn warnings(settings: &AccessSettings, profile: Profile) -> Vec<String> {
    if settings.mode == AccessMode::Off {
        return vec![
            "webhook.accessPolicy.mode is Off: whoever may create a pod gets the secrets of every project that its \
             labels name"
                .to_owned(),
        ];
    }
    let mut warnings = templates(settings, profile);
    warnings.extend(shared_namespaces(settings));
    warnings.extend(domains(settings));
    warnings.extend(settings.trusted_creators.iter().filter_map(|creator| trusted_creator(creator)));
    warnings
}

/// Entries that are no templates, or never decide.
fn templates(settings: &AccessSettings, profile: Profile) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, text) in settings.namespaces.iter().enumerate() {
        let behind = settings.namespaces.get(index + 1..).unwrap_or_default();
        match Template::parse(text) {
            Err(error) => warnings.push(format!("webhook.accessPolicy.namespaces: {text:?} {error}; it is ignored")),
            Ok(template) if template.has(Variable::Organization) && profile == Profile::Flyte1 => warnings.push(format!(
                "webhook.accessPolicy.namespaces: {text:?} fits no pod of Flyte 1, which sets no label \"organization\""
            )),
            Ok(template) if template.is_only(Variable::Project) && behind.iter().any(|text| text.contains('{')) => {
                warnings.push(format!(
                    "webhook.accessPolicy.namespaces: {text:?} fits every namespace, so the templates behind it decide \
                     nothing; put it last"
                ));
            }
            Ok(_) => {}
        }
    }
    warnings
}

/// Namespaces in which several projects, domains or organizations stand side by side.
fn shared_namespaces(settings: &AccessSettings) -> Vec<String> {
    if !settings.trusted_creators.is_empty() {
        return Vec::new();
    }
    let advice = "until webhook.accessPolicy.trustedCreators names who creates task pods there";
    let mut warnings = Vec::new();
    for text in &settings.namespaces {
        let Ok(template) = Template::parse(text) else { continue };
        let organizations = settings.organizations.len();
        let shared = Variable::ALL.into_iter().filter(|&variable| !template.has(variable));
        let shared = shared.filter(|variable| *variable != Variable::Organization || organizations > 1);
        let shared: Vec<String> = shared.map(|variable| format!("{}s", variable.name())).collect();
        if !shared.is_empty() {
            let shared = shared.join(" and ");
            warnings.push(format!(
                "in namespaces of the form {text:?} {shared} are not separated from each other, {advice}"
            ));
        }
    }
    warnings
}

/// Configured domains of which one is the end of another: projects of the shorter one may lose their namespace.
fn domains(settings: &AccessSettings) -> Vec<String> {
    let separated =
        |text: &String| Template::parse(text).is_ok_and(|one| one.has(Variable::Project) && one.has(Variable::Domain));
    if !settings.namespaces.iter().any(separated) {
        return Vec::new();
    }
    let known = &settings.domains;
    let pairs = known.iter().flat_map(|long| known.iter().map(move |short| (long, short)));
    let ends =
        pairs.filter_map(|(long, short)| Some((long.strip_suffix(short.as_str())?.strip_suffix('-')?, long, short)));
    ends.map(|(project, long, short)| {
        format!(
            "a namespace \"…-{long}\" is read as of the domain {long:?}: a project whose name ends in \"-{project}\" is \
             refused in the domain {short:?}"
        )
    })
    .collect()
}

fn trusted_creator(creator: &str) -> Option<String> {
    if is_controller(creator) {
        return Some(format!(
            "webhook.accessPolicy.trustedCreators lists {creator:?}, which creates pods for whoever may create a Job, a \
             ReplicaSet or the like: it proves nothing about who asked"
        ));
    }
    let is_pattern = creator.contains('*') || creator.starts_with("system:serviceaccounts");
    is_pattern.then(|| {
        format!(
            "webhook.accessPolicy.trustedCreators lists {creator:?}, which is compared as it is with user names and fits \
             none: patterns and groups are not known here"
        )
    })
}

/// Whether this user is a controller of Kubernetes itself that creates pods from the templates of others.
pub(super) fn is_controller(user: &str) -> bool {
    // With --use-service-account-credentials each controller has a name of its own, else all have that of the manager.
    const CONTROLLERS: [&str; 5] = [
        "daemon-set-controller",
        "job-controller",
        "replicaset-controller",
        "replication-controller",
        "statefulset-controller",
    ];
    user == "system:kube-controller-manager"
        || user.strip_prefix("system:serviceaccount:kube-system:").is_some_and(|name| CONTROLLERS.contains(&name))
}
