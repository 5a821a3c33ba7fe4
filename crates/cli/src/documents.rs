//! Kubernetes objects in YAML or JSON: reading them, finding their pods, writing them back.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use flyte_secrets_core::propagate::{asks_elsewhere, pod_templates};
use serde_json::Value;

/// The most that is read of one file.
const MAX_INPUT: u64 = 64 * 1024 * 1024;
/// The most values in one YAML document, aliases counted with what they stand for.
const MAX_NODES: usize = 10_000_000;
/// Up to here every whole number has a float of its own: 2^53.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// One document of an input.
pub(crate) struct Document {
    /// As it was written in YAML; nothing for one of several JSON values in a row.
    pub(crate) text: Option<String>,
    /// As data; null where there are only comments.
    pub(crate) value: Value,
}

/// An object of a document: the document itself, or an item of a List.
#[derive(Clone)]
pub(crate) struct ObjectPlace {
    /// Where in the document: a JSON pointer.
    pub(crate) pointer: String,
    /// `Kind namespace/name`, for messages.
    pub(crate) title: String,
    /// Its namespace.
    pub(crate) namespace: String,
}

/// A pod or a pod template inside a document.
pub(crate) struct PodPlace {
    /// Where in the document: a JSON pointer.
    pub(crate) pointer: String,
    /// `Kind namespace/name` of its object, for messages; with the pointer where the object has several.
    pub(crate) title: String,
    /// The namespace of the object.
    pub(crate) namespace: String,
    /// The object that the pod belongs to.
    pub(crate) object: ObjectPlace,
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read_input(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let name = display(path);
    if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_INPUT + 1).read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        if path.is_dir() {
            bail!("{name} is a folder; name the files in it, {name}/*.yaml for example");
        }
        let file = std::fs::File::open(path).with_context(|| format!("cannot open {name}"))?;
        file.take(MAX_INPUT + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    }
    if bytes.len() as u64 > MAX_INPUT {
        bail!("{name} is larger than 64 MiB");
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..good].iter().filter(|&&byte| byte == b'\n').count();
        anyhow!("{name}:{line}: not UTF-8")
    })
}

/// An input's name, for messages.
pub(crate) fn display(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// Splits an input into its documents. A document of comments alone is one too, so that nothing is lost.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Vec<Document>> {
    if text.trim_start().starts_with(['{', '[']) {
        let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let document = |value| Document { text: None, value };
        if let Ok(values) = values.map(|value| value.map(document)).collect::<Result<Vec<_>, _>>() {
            return Ok(values);
        }
    }
    let mut documents = Vec::new();
    for (line, text) in split(text) {
        if !text.trim().is_empty() {
            let value = from_yaml(&text).map_err(|error| unreadable(path, line, &error))?;
            documents.push(Document { text: Some(text), value });
        }
    }
    Ok(documents)
}

/// Reads one document as kubectl does.
fn from_yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_recorded_anchor_events: MAX_NODES / 50,
        },
        // Go's YAML reads 0644 so, and many a defaultMode is written so.
        legacy_octal_numbers: true,
        // What an input holds is nobody's business in a log.
        with_snippet: false,
    };
    let mut value = serde_saphyr::from_str_with_options(text, options)?;
    whole_numbers(&mut value);
    Ok(value)
}

/// Go's YAML makes no difference between `1e3` and `1000`, and an integer field takes the latter only.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            if float.fract() == 0.0 && float.abs() <= MAX_EXACT {
                // It is whole and in range.
                *number = (float as i64).into();
            }
        }
        _ => {}
    }
}

/// What is wrong with a document, and at which line of its file.
fn unreadable(path: &Path, first_line: usize, error: &serde_saphyr::Error) -> anyhow::Error {
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let line = first_line as u64 + line.saturating_sub(1);
    let text = error.to_string();
    // The parser counts from the document's first line.
    let text = text.split(" at line ").next().unwrap_or(&text);
    let is_limit = ["budget", "recursion limit", "replay"].iter().any(|limit| text.contains(limit));
    let problem = if is_limit { "too large or too deeply nested" } else { text };
    anyhow!("{}:{line}:{column}: not YAML that can be read: {problem}", display(path))
}

/// The texts between the document markers of YAML (1.2.2, section 9.1), each with its first line's number.
fn split(text: &str) -> Vec<(usize, String)> {
    let mut documents = vec![(1, String::new())];
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        let (is_start, is_end) = (bare == "---" || bare.starts_with("--- "), bare == "...");
        if is_start || is_end {
            documents.push((index + if is_start && bare.len() > 3 { 1 } else { 2 }, String::new()));
        }
        let content = if is_start { &line[3..] } else { line };
        let empty_marker = is_end || (is_start && bare.len() == 3);
        if let Some((_, document)) = documents.last_mut().filter(|_| !empty_marker) {
            document.push_str(content);
        }
    }
    documents
}

/// The objects of a document; those of a List one by one.
pub(crate) fn objects(document: &Value, default_namespace: &str) -> Vec<ObjectPlace> {
    let mut found = Vec::new();
    collect(document, String::new(), default_namespace, &mut found);
    found
}

fn collect(object: &Value, pointer: String, default_namespace: &str, found: &mut Vec<ObjectPlace>) {
    let kind = object["kind"].as_str().unwrap_or_default();
    if let (true, Some(items)) = (kind.ends_with("List"), object["items"].as_array()) {
        for (index, item) in items.iter().enumerate() {
            collect(item, format!("{pointer}/items/{index}"), default_namespace, found);
        }
        return;
    }
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().or(metadata["generateName"].as_str()).unwrap_or("(no name)");
    let namespace = metadata["namespace"].as_str().filter(|name| !name.is_empty()).unwrap_or(default_namespace);
    let title = format!("{kind} {namespace}/{name}");
    found.push(ObjectPlace { pointer, title, namespace: namespace.to_owned() });
}

/// All pods and pod templates of a document; those of a List one by one.
pub(crate) fn pods(document: &Value, default_namespace: &str) -> Vec<PodPlace> {
    let mut found = Vec::new();
    for object in objects(document, default_namespace) {
        let templates = document.pointer(&object.pointer).map(pod_templates).unwrap_or_default();
        let several = templates.len() > 1;
        for template in templates {
            found.push(PodPlace {
                pointer: format!("{}{template}", object.pointer),
                title: if several { format!("{}, {template}", object.title) } else { object.title.clone() },
                namespace: object.namespace.clone(),
                object: object.clone(),
            });
        }
    }
    found
}

/// The objects of a document whose pods ask for secrets without standing there as a whole, by their titles.
pub(crate) fn served_at_admission(document: &Value, default_namespace: &str) -> Vec<String> {
    let mut objects = objects(document, default_namespace);
    objects.retain(|object| document.pointer(&object.pointer).is_some_and(asks_elsewhere));
    objects.into_iter().map(|object| object.title).collect()
}

/// A document as YAML that readers of YAML 1.1 and 1.2 understand alike. A line of text stays one line.
pub(crate) fn to_yaml(value: &Value) -> Result<String> {
    let options = serde_saphyr::ser_options! {
        folded_wrap_chars: usize::MAX,
        prefer_block_scalars: !starts_with_a_tab(value),
    };
    serde_saphyr::to_string_with_options(value, options).context("cannot write YAML")
}

/// Whether a text of several lines starts with a tab: go-yaml takes that for the indentation of a block.
fn starts_with_a_tab(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\n') && text.trim_start_matches([' ', '\n']).starts_with('\t'),
        Value::Array(elements) => elements.iter().any(starts_with_a_tab),
        Value::Object(members) => members.values().any(starts_with_a_tab),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<Document> {
        parse(Path::new("test"), text).unwrap()
    }

    #[test]
    fn documents_are_split_at_their_markers_only() {
        let documents = parsed("# only a comment\n---\na: 1\n--- {b: 2}\n---\nc: |\n  x\n  ---\n...\n---\n");
        let values: Vec<_> = documents.iter().map(|document| document.value.to_string()).collect();
        // What holds only comments is kept, as nothing.
        assert_eq!(values, ["null", r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":"x\n---\n"}"#]);
    }

    #[test]
    fn json_is_read_as_json_and_keeps_the_order_of_members() {
        assert_eq!(parsed(" {\"z\":1,\n\t\"a\":[1.50]}")[0].value.to_string(), r#"{"z":1,"a":[1.5]}"#);
    }

    #[test]
    fn an_error_names_the_line_of_its_file() {
        let error = parse(Path::new("f.yaml"), "a: 1\n---\nb: [\n").err().unwrap().to_string();
        assert!(error.starts_with("f.yaml:3:4: "), "{error}");
    }

    #[test]
    fn several_pods_of_an_object_are_told_apart() {
        let ray = parsed(
            "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: r}\nspec:\n  headGroupSpec: {template: {}}\n  \
             workerGroupSpecs: [{template: {}}]\n",
        );
        let found: Vec<_> = pods(&ray[0].value, "d").into_iter().map(|place| place.title).collect();
        let expected =
            ["RayCluster d/r, /spec/headGroupSpec/template", "RayCluster d/r, /spec/workerGroupSpecs/0/template"];
        assert_eq!(found, expected);
    }

    #[test]
    fn pods_are_found_in_every_kind_that_holds_them() {
        let list = parsed(
            "kind: List\nitems:\n- kind: Pod\n  metadata: {name: p, namespace: other}\n- kind: ConfigMap\n- kind: CronJob\n  \
             metadata: {name: c}\n  spec: {jobTemplate: {spec: {template: {spec: {}}}}}\n- kind: Deployment\n",
        );
        let found: Vec<_> = pods(&list[0].value, "d").into_iter().map(|place| (place.pointer, place.title)).collect();
        assert_eq!(
            found,
            [
                ("/items/0".to_owned(), "Pod other/p".to_owned()),
                ("/items/2/spec/jobTemplate/spec/template".to_owned(), "CronJob d/c".to_owned())
            ]
        );
    }
}
