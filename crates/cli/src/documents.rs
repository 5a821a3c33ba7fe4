//! Kubernetes objects in YAML or JSON: reading them, finding their pods, writing them back.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The most that is read of one file.
const MAX_INPUT: u64 = 64 * 1024 * 1024;

/// Kinds that hold a pod template, and where.
const TEMPLATES: [(&str, &str); 9] = [
    ("Deployment", "/spec/template"),
    ("ReplicaSet", "/spec/template"),
    ("StatefulSet", "/spec/template"),
    ("DaemonSet", "/spec/template"),
    ("ReplicationController", "/spec/template"),
    ("Job", "/spec/template"),
    ("CronJob", "/spec/jobTemplate/spec/template"),
    ("PodTemplate", "/template"),
    ("Pod", ""),
];

/// One document of an input.
pub(crate) struct Document {
    /// As it was written.
    pub(crate) text: String,
    /// As data.
    pub(crate) value: Value,
}

/// A pod or a pod template inside a document.
pub(crate) struct PodPlace {
    /// Where in the document: a JSON pointer.
    pub(crate) pointer: String,
    /// `Kind namespace/name` of the object, for messages.
    pub(crate) title: String,
    /// The namespace of the object.
    pub(crate) namespace: String,
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read_input(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let name = path.display();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_INPUT + 1).read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot open {name}"))?;
        file.take(MAX_INPUT + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    }
    if bytes.len() as u64 > MAX_INPUT {
        bail!("{name} is larger than 64 MiB");
    }
    String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("{name} is not UTF-8"))
}

/// Splits an input into its documents.
pub(crate) fn parse(name: &Path, text: &str) -> Result<Vec<Document>> {
    if text.trim_start().starts_with(['{', '[']) {
        let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let document = |value| Document { text: text.to_owned(), value };
        if let Ok(values) = values.map(|value| value.map(document)).collect::<Result<Vec<_>, _>>() {
            return Ok(values);
        }
    }
    let mut documents = Vec::new();
    for (line, text) in split(text) {
        let value: Value = serde_saphyr::from_str(&text).map_err(|error| {
            anyhow::anyhow!("{}: the document that starts at line {line} cannot be read: {error}", name.display())
        })?;
        if !value.is_null() {
            documents.push(Document { text, value });
        }
    }
    Ok(documents)
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

/// All pods and pod templates of a document; those of a List one by one.
pub(crate) fn pods(document: &Value, default_namespace: &str) -> Vec<PodPlace> {
    let mut found = Vec::new();
    collect(document, String::new(), default_namespace, &mut found);
    found
}

fn collect(object: &Value, pointer: String, default_namespace: &str, found: &mut Vec<PodPlace>) {
    let kind = object["kind"].as_str().unwrap_or_default();
    if let (true, Some(items)) = (kind.ends_with("List"), object["items"].as_array()) {
        for (index, item) in items.iter().enumerate() {
            collect(item, format!("{pointer}/items/{index}"), default_namespace, found);
        }
        return;
    }
    let Some((_, template)) = TEMPLATES.iter().find(|(template, _)| *template == kind) else { return };
    if object.pointer(template).is_some_and(Value::is_object) {
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().or(metadata["generateName"].as_str()).unwrap_or_default();
        let namespace = metadata["namespace"].as_str().filter(|name| !name.is_empty()).unwrap_or(default_namespace);
        found.push(PodPlace {
            pointer: format!("{pointer}{template}"),
            title: format!("{kind} {namespace}/{name}"),
            namespace: namespace.to_owned(),
        });
    }
}

/// A document as YAML.
pub(crate) fn to_yaml(value: &Value) -> Result<String> {
    serde_saphyr::to_string(value).context("cannot write YAML")
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
        assert_eq!(values, [r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":"x\n---\n"}"#]);
    }

    #[test]
    fn json_is_read_as_json_and_keeps_the_order_of_members() {
        assert_eq!(parsed(" {\"z\":1,\n\t\"a\":[1.50]}")[0].value.to_string(), r#"{"z":1,"a":[1.5]}"#);
    }

    #[test]
    fn a_broken_document_is_named_by_its_first_line() {
        let error = parse(Path::new("f.yaml"), "a: 1\n---\nb: [\n").err().unwrap().to_string();
        assert!(error.starts_with("f.yaml: the document that starts at line 3"), "{error}");
    }

    #[test]
    fn pods_are_found_in_every_kind_that_holds_them() {
        let list = parsed(
            "kind: List\nitems:\n- kind: Pod\n  metadata: {name: p, namespace: n}\n- kind: ConfigMap\n- kind: CronJob\n  \
             metadata: {name: c}\n  spec: {jobTemplate: {spec: {template: {spec: {}}}}}\n- kind: Deployment\n",
        );
        let found: Vec<_> = pods(&list[0].value, "d").into_iter().map(|place| (place.pointer, place.title)).collect();
        assert_eq!(
            found,
            [
                ("/items/0".to_owned(), "Pod n/p".to_owned()),
                ("/items/2/spec/jobTemplate/spec/template".to_owned(), "CronJob d/c".to_owned())
            ]
        );
    }
}
