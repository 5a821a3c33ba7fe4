//! `propagate`: documents in, documents out, objects that pass requests for secrets on to their pods.

use anyhow::{Context, Result, anyhow, bail};
use flyte_secrets_core::propagate::{
    KINDS, Kind, Place, PodMetadata, PropagateError, Shape, difference, makes_no_pods, propagate,
};
use serde::Serialize;
use serde_json::Value;

use crate::args::{PropagateArgs, PropagateOutput};
use crate::diff;
use crate::documents::{Document, ObjectPlace, objects, parse, read_input, to_yaml};
use crate::offline::read_documents;
use crate::output::{print, print_coloured, print_json};

/// A document on its way out.
struct Propagated {
    document: Document,
    after: Value,
    changed: Vec<ObjectPlace>,
}

pub(crate) fn run(args: &PropagateArgs) -> Result<()> {
    if args.list_kinds {
        return list_kinds(args.output);
    }
    let metadata = wanted(args)?;
    let more = places(args)?;
    let mut propagated = Vec::new();
    let mut served = 0;
    for document in read_documents(&args.files)? {
        let (mut after, mut changed) = (document.value.clone(), Vec::new());
        for object in objects(&document.value, &args.namespace) {
            let inner = after.pointer_mut(&object.pointer).context("the object is gone from its document")?;
            if put(inner, &metadata, &more, args.ignore_unknown).with_context(|| object.title.clone())? {
                served += 1;
                if document.value.pointer(&object.pointer) != Some(&*inner) {
                    changed.push(object);
                }
            }
        }
        propagated.push(Propagated { document, after, changed });
    }
    if served == 0 {
        bail!("there is no object in this input whose pods are known; --path names the pod templates of a kind");
    }
    let text = render(&propagated, args.output)?;
    if args.output == PropagateOutput::Diff { print_coloured(&text) } else { print(&text) }
}

/// What the pods are to carry.
fn wanted(args: &PropagateArgs) -> Result<PodMetadata> {
    let mut metadata = PodMetadata::asking_for(&args.secrets)?;
    if let Some(path) = &args.from {
        if metadata.asks() {
            bail!("--from and --secret are two sets of requests; give one of them");
        }
        let mut asking = Vec::new();
        for document in parse(path, &read_input(path)?)? {
            let objects = objects(&document.value, &args.namespace);
            asking
                .extend(objects.iter().filter_map(|object| PodMetadata::of(document.value.pointer(&object.pointer)?)));
        }
        asking.dedup();
        metadata = match asking.len() {
            1 => asking.remove(0),
            0 => bail!("--from {}: nothing there asks for secrets", path.display()),
            _ => {
                bail!("--from {}: several objects ask, and for different secrets; name a file with one", path.display())
            }
        };
    }
    let (labels, annotations) = (args.labels.iter().cloned().collect(), args.annotations.iter().cloned().collect());
    let metadata = metadata.and(PodMetadata { labels, annotations });
    if metadata.is_empty() {
        bail!("there is nothing to pass on: give --from, --secret, --label or --annotation");
    }
    Ok(metadata)
}

fn places(args: &PropagateArgs) -> Result<Vec<Place<'_>>> {
    let templates = args.paths.iter().map(|path| Place::template(path).context("--path"));
    let metadata = args.metadata_paths.iter().map(|path| Place::metadata(path).context("--metadata-path"));
    templates.chain(metadata).collect()
}

/// Puts the metadata into an object, if it is one whose pods are known.
fn put(object: &mut Value, metadata: &PodMetadata, more: &[Place<'_>], ignore_unknown: bool) -> Result<bool> {
    if makes_no_pods(object) {
        return Ok(false);
    }
    match propagate(object, metadata, more) {
        Ok(_) => Ok(true),
        Err(_) if ignore_unknown && Kind::of(object).is_none() => Ok(false),
        Err(error @ PropagateError::UnknownKind { .. }) => {
            Err(anyhow!("{error}: --path spec.template, say, or --ignore-unknown if it makes no pods"))
        }
        Err(error) => Err(error.into()),
    }
}

fn render(propagated: &[Propagated], output: PropagateOutput) -> Result<String> {
    let mut text = String::new();
    for Propagated { document, after, changed } in propagated {
        match output {
            PropagateOutput::Yaml => {
                if !text.is_empty() {
                    text.push_str("---\n");
                }
                match &document.text {
                    Some(unchanged) if changed.is_empty() => text.push_str(unchanged),
                    _ => text.push_str(&to_yaml(after)?),
                }
                if !text.ends_with('\n') {
                    text.push('\n');
                }
            }
            // Comments alone are no JSON and take no patch.
            _ if document.value.is_null() => {}
            PropagateOutput::Json => text.push_str(&format!("{}\n", serde_json::to_string_pretty(after)?)),
            PropagateOutput::Patch => {
                let operations = difference(&document.value, after);
                text.push_str(&format!("{}\n", serde_json::to_string_pretty(&operations)?));
            }
            PropagateOutput::Diff => {
                for ObjectPlace { title, pointer, .. } in changed {
                    let yaml =
                        |document: &Value| document.pointer(pointer).map(to_yaml).unwrap_or_else(|| Ok(String::new()));
                    let (before, after) = (yaml(&document.value)?, yaml(after)?);
                    text.push_str(&diff::unified_as(title, "with its requests", &before, &after));
                }
            }
        }
    }
    Ok(text)
}

/// A row of the table as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedKind {
    group: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    only_with: Option<&'static str>,
    /// Whether `inject` serves its pods in the object: `template`, or `none`.
    inject: &'static str,
    places: Vec<ListedPlace>,
    source: &'static str,
}

#[derive(Serialize)]
struct ListedPlace {
    path: String,
    shape: &'static str,
}

fn list_kinds(output: PropagateOutput) -> Result<()> {
    let listed = KINDS.iter().map(|row| ListedKind {
        group: row.group,
        kind: row.kind,
        only_with: row.only_with,
        inject: if row.holds_templates() { "template" } else { "none" },
        places: row
            .places
            .iter()
            .map(|place| ListedPlace { path: place.to_string(), shape: shape(place.shape()) })
            .collect(),
        source: row.source,
    });
    let listed: Vec<_> = listed.collect();
    match output {
        PropagateOutput::Json => print_json(&listed),
        PropagateOutput::Yaml => print(&listed.iter().map(text).collect::<String>()),
        PropagateOutput::Patch | PropagateOutput::Diff => bail!("--list-kinds prints text, or JSON with -o json"),
    }
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Template => "template",
        Shape::PartOfTemplate => "part of a template",
        Shape::Metadata => "labels and annotations",
    }
}

fn text(row: &ListedKind) -> String {
    let name = if row.group.is_empty() { row.kind.to_owned() } else { format!("{}.{}", row.kind, row.group) };
    let only = row.only_with.map(|member| format!(", with spec.{member}")).unwrap_or_default();
    let mut text = format!("{name}{only}\n  inject: {}\n", row.inject);
    for ListedPlace { path, shape } in &row.places {
        text.push_str(&format!("  {path} ({shape})\n"));
    }
    text
}
