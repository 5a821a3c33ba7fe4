//! What `inject` and `explain` share: pods of documents through the webhook's own code, without a cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use flyte_secrets_core::Settings;
use flyte_secrets_core::annotations::{LABEL, LABEL_VALUE};
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::settings::CheckExists;
use flyte_secrets_stores::values::Values;
use flyte_secrets_stores::{LookUpSettings, LookUps, NoObserver};
use flyte_secrets_webhook::admission::{Admission, Creation, Sources, Variables, admit};
use serde_json::Value;

use crate::Failed;
use crate::args::{ConfigArgs, OfflineArgs};
use crate::documents::{self, Document, PodPlace};
use crate::output::Message;
use crate::setup::{Surroundings, tell_warnings};

/// Nothing here waits for anything but this computer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why nothing is done about an object whose pods ask for secrets.
pub(crate) const SERVED_AT_ADMISSION: &str =
    "its pods do not stand in it as a whole, so the webhook serves them when they are created";

/// Everything that a decision depends on.
pub(crate) struct Offline {
    settings: Settings,
    sources: Sources,
    namespace: String,
    creator: String,
    ignore_label: bool,
}

/// A pod of a document and what becomes of it.
pub(crate) struct Decided {
    /// The pod, or the pod template.
    pub(crate) place: PodPlace,
    /// The pod as it was.
    pub(crate) before: Value,
    /// What becomes of it; nothing where the API server would not ask.
    pub(crate) admission: Option<Admission>,
}

impl Offline {
    pub(crate) fn new(
        surroundings: &Surroundings,
        config: &ConfigArgs,
        args: &OfflineArgs,
        as_json: bool,
    ) -> Result<Self, Failed> {
        let loaded = surroundings.load_offline(config)?;
        tell_warnings(&loaded, as_json);
        if loaded.config.injection.check_exists != CheckExists::Off {
            let message = "webhook.k8s.checkExists: there is no cluster here, so the K8s manager does not look whether \
                           Secrets are there";
            Message::Warning { message }.tell(as_json);
        }
        let mut settings = loaded.config.injection;
        if let Some(folder) = &args.secrets_prefix {
            settings.global.secrets_prefix = std::path::absolute(folder).context("--secrets-prefix")?;
        }
        let variables = args
            .env
            .iter()
            .zip(1..)
            .map(|(pair, number)| match pair.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
                // Perhaps it is a value that lacks its name.
                None => Err(anyhow!("--env number {number} has no '='; write NAME=VALUE")),
            })
            .collect::<Result<Vec<_>>>()?;
        let values = match &args.values {
            Some(path) => Values::parse(&documents::read_input(path)?).with_context(|| path.display().to_string())?,
            None => Values::default(),
        };
        let variables = Variables::new(variables, &settings.global.env_prefix);
        let look_ups = LookUps::new(vec![Arc::new(values)], LookUpSettings::uncached(), Arc::new(NoObserver));
        let sources = Sources { variables, look_ups, ..Sources::default() };
        Ok(Self {
            settings,
            sources,
            namespace: args.namespace.clone(),
            creator: args.creator.clone(),
            ignore_label: args.ignore_label,
        })
    }

    /// Decides about every pod of a document.
    pub(crate) async fn decide(&self, document: &Document) -> Result<Vec<Decided>> {
        let mut decided = Vec::new();
        for place in documents::pods(&document.value, &self.namespace) {
            let before = document.value.pointer(&place.pointer).cloned().unwrap_or_default();
            let admission =
                if self.ignore_label || is_labelled(&before) { Some(self.admit(&place, &before).await?) } else { None };
            decided.push(Decided { place, before, admission });
        }
        Ok(decided)
    }

    /// The titles of objects whose pods cannot be decided about here.
    pub(crate) fn served_at_admission(&self, document: &Document) -> Vec<String> {
        documents::served_at_admission(&document.value, &self.namespace)
    }

    async fn admit(&self, place: &PodPlace, pod: &Value) -> Result<Admission> {
        let bytes = serde_json::to_vec(pod)?;
        let outline = PodOutline::parse(&bytes).map_err(|_| no_pod(&place.title, &bytes))?;
        let namespace =
            if outline.metadata.namespace.is_empty() { &place.namespace } else { &*outline.metadata.namespace };
        let creation = Creation { namespace, creator: &self.creator };
        Ok(admit(&self.settings, &self.sources, &outline, creation, Instant::now() + PATIENCE).await)
    }
}

/// Which member of a pod has another type than Kubernetes gives it. What it holds is not said.
fn no_pod(title: &str, bytes: &[u8]) -> anyhow::Error {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, PodOutline<'_>>(&mut json) {
        Err(error) => {
            let text = error.inner().to_string();
            let expected = text.rsplit_once(", expected ").map_or("something else", |(_, expected)| expected);
            let expected = expected.split(" at line ").next().unwrap_or(expected);
            anyhow!("{title}: {} of the pod must be {expected}", error.path())
        }
        Ok(_) => anyhow!("{title}: not a pod that can be read"),
    }
}

/// Whether the API server would send the pod to the webhook.
fn is_labelled(pod: &Value) -> bool {
    pod["metadata"]["labels"][LABEL] == LABEL_VALUE
}

/// Reads all documents of all files.
pub(crate) fn read_documents(files: &[std::path::PathBuf]) -> Result<Vec<Document>> {
    let mut all = Vec::new();
    for path in files {
        all.extend(documents::parse(path, &documents::read_input(path)?)?);
    }
    if all.iter().all(|document| document.value.is_null()) {
        bail!(
            "there is no document in {}",
            files.iter().map(|path| documents::display(path)).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(all)
}
