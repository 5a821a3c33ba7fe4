//! What the command will have: the webhook's own decision about the pod, then the kubelet's part.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use flyte_secrets_config::Config;
use flyte_secrets_core::mirror::{SecretReference, VALUE_KEY};
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::realise::{Missing, Plan, Realised, below};
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{Secret, SecretManagerType};
use flyte_secrets_stores::values::Values as GivenValues;
use flyte_secrets_stores::{LookUpSettings, LookUps, NoObserver};
use flyte_secrets_webhook::admission::{
    Admission, Creation, Decision, Handled, Outcome, Sources, Variables, Way, admit,
};
use flyte_secrets_webhook::kubernetes::{client, read_secret};
use serde_json::Value;

use super::args::ExecArgs;
use super::asked::{Asked, Given, Input, Values, pod_for};
use super::here::Here;
use crate::output::Message;
use crate::{Failed, documents, inject, stores, with_causes};

/// How long all stores together may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the command will have beside what it inherits.
#[derive(Default)]
pub(super) struct Outfit {
    /// Variables.
    pub(super) variables: BTreeMap<String, SecretValue>,
    /// Variables that hold a path in the folder: what follows the folder's own path, or nothing.
    pub(super) paths: BTreeMap<String, String>,
    /// Files by their path in the folder.
    pub(super) files: BTreeMap<String, SecretValue>,
}

/// Brings everything that is asked for.
pub(super) async fn outfit(
    config: &Config,
    args: &ExecArgs,
    input: Input,
    here: Option<Here>,
) -> Result<Outfit, Failed> {
    let mut outfit = Outfit::default();
    let (pod, namespace) = match input.asked {
        Asked::Pod { pod, namespace } => (pod, namespace),
        Asked::Requests(mut requests) => {
            if let Some(here) = here {
                requests = left(requests, &here, &mut outfit)?;
            }
            if requests.is_empty() {
                return Ok(outfit);
            }
            (pod_for(&requests, args)?, None)
        }
    };
    let namespace = match args.namespace.clone().or(namespace) {
        Some(namespace) => namespace,
        None => client().await.map_or_else(|_| "default".to_owned(), |client| client.default_namespace().to_owned()),
    };
    let (admission, pod) = admitted(config, args, pod, &namespace).await?;
    let wanted: HashSet<&str> = served(&admission)
        .flat_map(|(_, injection)| injection.variables())
        .map(|variable| variable.name.as_str())
        .collect();
    if wanted.is_empty() {
        Message::Warning { message: "the pod asks for no secrets" }.tell(false);
        return Ok(outfit);
    }
    let plan = Plan::of(&pod, args.container.as_deref(), |name| wanted.contains(name))?;
    elsewhere(&admission, &plan)?;
    let held = Held::gather(&plan, &admission, input.secrets, &namespace).await?;
    let realised = plan.realise(|reference| held.value(reference));
    tell_missing(&realised.missing, &admission, &namespace, args.strict)?;
    outfit.add(realised);
    Ok(outfit)
}

impl Outfit {
    /// Whether there has to be a folder.
    pub(super) fn needs_folder(&self) -> bool {
        !self.files.is_empty() || !self.paths.is_empty()
    }

    fn add(&mut self, Realised { variables, files, .. }: Realised) {
        for variable in variables {
            let path = if variable.from_secret { None } else { variable.value.expose_text().and_then(below) };
            match path {
                Some(path) => _ = self.paths.insert(variable.name, path.to_owned()),
                None => _ = self.variables.insert(variable.name, variable.value),
            }
        }
        self.files.extend(files);
    }
}

/// The requests that this process has no value for.
fn left(requests: Vec<Secret>, here: &Here, outfit: &mut Outfit) -> Result<Vec<Secret>> {
    let mut left = Vec::new();
    for request in requests {
        if !here.serve(&request, outfit)? {
            left.push(request);
        }
    }
    Ok(left)
}

/// The webhook's decision, and the pod as it would be.
async fn admitted(config: &Config, args: &ExecArgs, pod: Value, namespace: &str) -> Result<(Admission, Value), Failed> {
    let settings = &config.injection;
    let sources = sources(config, args.values.as_deref()).await?;
    let bytes = serde_json::to_vec(&pod)?;
    let outline =
        PodOutline::parse(&bytes).map_err(|_| anyhow!("the pod cannot be read; `flyte-secrets inject` says why"))?;
    let creation = Creation { namespace, creator: "" };
    let admission = admit(settings, &sources, &outline, creation, Instant::now() + PATIENCE).await;
    for warning in &admission.warnings {
        Message::Warning { message: warning }.tell(false);
    }
    let pod = match &admission.decision {
        Decision::Unchanged => pod,
        Decision::Patched(patch) => inject::apply(pod, &serde_json::from_slice(&patch.0)?)?,
        Decision::Refused(refusal) | Decision::Unserved(refusal) => {
            Message::Error { message: &refusal.message }.tell(false);
            return Err(Failed::Told);
        }
    };
    Ok((admission, pod))
}

/// Where Global and Embedded find values.
async fn sources(config: &Config, values: Option<&Path>) -> Result<Sources> {
    let settings = &config.injection;
    let variables = Variables::of_this_process(&settings.global.env_prefix);
    let look_ups = match values {
        Some(path) => {
            let values =
                GivenValues::parse(&documents::read_input(path)?).with_context(|| path.display().to_string())?;
            LookUps::new(vec![Arc::new(values)], LookUpSettings::uncached(), Arc::new(NoObserver))
        }
        None if settings.managers.contains(&SecretManagerType::Embedded) => {
            stores::look_ups(&config.stores, Arc::new(NoObserver)).await?
        }
        None => LookUps::default(),
    };
    Ok(Sources { variables, look_ups, ..Sources::default() })
}

fn served(admission: &Admission) -> impl Iterator<Item = (&Handled, &flyte_secrets_core::injection::Injection)> {
    admission.handled.iter().filter_map(|one| Some((one, &one.served.as_ref()?.1)))
}

/// Values that are fetched in the pod, as the pod's own identity, cannot be had here.
fn elsewhere(admission: &Admission, plan: &Plan) -> Result<()> {
    for one in &admission.handled {
        if let Some((manager, injection)) = &one.served
            && (injection.fetch.is_some()
                || injection.described.as_ref().is_some_and(|described| described.parts().next().is_some())
                || !injection.annotations.is_empty())
        {
            bail!(
                "{} is served by {manager}, whose values are fetched in the pod, as the pod's own identity: they cannot be \
                 had here. Run the command in such a pod, or ask managers that have values here with \
                 --webhook.secretManagerTypes=Embedded,K8s",
                one.request.secret
            );
        }
    }
    if let Some(name) = plan.unfilled().first() {
        bail!(
            "the init container {name:?} of the pod brings secrets as the pod's own identity: they cannot be had here"
        );
    }
    Ok(())
}

/// What the Secrets hold that a pod refers to.
struct Held {
    mirrors: HashMap<String, SecretValue>,
    secrets: HashMap<String, Values>,
}

impl Held {
    /// Mirrors are not written but kept here; other Secrets are those of the files, else those of the cluster.
    async fn gather(plan: &Plan, admission: &Admission, given: Vec<Given>, namespace: &str) -> Result<Self> {
        let mirrors = admission.handled.iter().filter_map(|one| match one.way.as_ref()? {
            Way::Mirror(mirror) => Some((mirror.name.clone(), mirror.value.clone())),
            Way::Stored(_) | Way::PodSpec => None,
        });
        let given = given.into_iter().filter(|one| one.namespace.as_deref().is_none_or(|name| name == namespace));
        let secrets = given.map(|Given { name, values, .. }| (name, values));
        let mut held = Self { mirrors: mirrors.collect(), secrets: secrets.collect() };
        let names: BTreeSet<&str> = plan
            .references()
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !held.mirrors.contains_key(*name) && !held.secrets.contains_key(*name))
            .collect();
        if names.is_empty() {
            return Ok(held);
        }
        let of_cluster = from_cluster(&names, namespace).await.map_err(|error| {
            let needed: Vec<String> = names.iter().map(|name| needed(admission, name)).collect();
            let why = with_causes(&error);
            anyhow!("{}\nNo file given with -f holds it, and of the cluster: {why}", needed.join("\n"))
        })?;
        held.secrets.extend(of_cluster);
        Ok(held)
    }

    fn value(&self, SecretReference { name, key }: &SecretReference) -> Option<SecretValue> {
        match self.mirrors.get(name) {
            Some(value) if key == VALUE_KEY => Some(value.clone()),
            _ => self.secrets.get(name)?.get(key).cloned(),
        }
    }
}

async fn from_cluster(names: &BTreeSet<&str>, namespace: &str) -> Result<Vec<(String, Values)>> {
    let client = client().await?;
    let mut secrets = Vec::new();
    for name in names {
        let values = read_secret(&client, namespace, name).await?;
        secrets.push(((*name).to_owned(), values.unwrap_or_default()));
    }
    Ok(secrets)
}

/// Which request needs a Secret, and why the managers that were asked before did not serve it: a line each, as in a refusal.
fn needed(admission: &Admission, secret: &str) -> String {
    let refers = |one: &&Handled| {
        one.served.as_ref().is_some_and(|(_, injection)| injection.secrets().any(|name| name == secret))
    };
    let Some(one) = admission.handled.iter().find(refers) else { return format!("the Secret {secret:?} is needed") };
    let mut text = format!("{} needs the Secret {secret:?}", one.request.secret);
    for attempt in &one.attempts {
        if let Outcome::Declines(why) | Outcome::Fails(why) = &attempt.outcome {
            text.push_str(&format!("\n  {}: {why}", attempt.manager));
        }
    }
    text
}

/// A pod starts without an optional Secret and says nothing. A person wants to know.
fn tell_missing(missing: &[Missing], admission: &Admission, namespace: &str, strict: bool) -> Result<(), Failed> {
    for one in missing {
        let end = match (one.optional, strict) {
            (true, false) => ". The command starts without it, as a pod would; --strict makes this an error",
            (true, true) => "",
            (false, _) => ". A pod would not start either",
        };
        let needed = needed(admission, &one.reference.name);
        let message = format!("{one} in the namespace {namespace:?}{end}\n{needed}");
        if one.optional && !strict {
            Message::Warning { message: &message }.tell(false);
        } else {
            Message::Error { message: &message }.tell(false);
        }
    }
    if missing.iter().any(|one| strict || !one.optional) { Err(Failed::Told) } else { Ok(()) }
}
