//! What one way of asking, as a file or as a variable, adds to a pod.

use std::collections::BTreeSet;

use serde_json::Value;

use super::compiler::{Compiler, sample, sample_request};
use super::fields::Field;
use super::place::{Kind, Text};
use super::tree::Tree;

/// What a request adds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Section {
    pub(super) env: Vec<(Text, EnvValue)>,
    pub(super) volumes: Vec<Tree>,
    pub(super) mounts: Vec<Tree>,
    pub(super) sidecars: Vec<Tree>,
    pub(super) init_containers: Vec<Tree>,
    pub(super) annotations: Vec<(Text, Text)>,
    /// Where the task sees the file.
    pub(super) path: Option<Text>,
}

/// A variable's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum EnvValue {
    Text(Text),
    From(Tree),
}

/// A part of a pod as a request would fill it, to be checked against Kubernetes' own types.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What it is.
    pub part: Part,
    /// Where it stands in the description.
    pub path: Vec<String>,
    /// Kubernetes' JSON.
    pub value: Value,
}

/// Parts of a pod that a manager can add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `EnvVar`.
    Variable,
    /// `Volume`.
    Volume,
    /// `VolumeMount`.
    Mount,
    /// `Container`.
    Container,
}

/// Names of what other managers add.
const TAKEN: [&str; 5] =
    ["aws-secret-vol", "gcp-secret-vol", "azure-secret-vol", "embedded-secret-vol", "init-embedded-secret"];
/// Members of a container in which nothing comes from a request: they say what runs, and as what.
const FIXED: [&str; 9] = [
    "image",
    "imagePullPolicy",
    "securityContext",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "workingDir",
    "ports",
];
/// What only runs beside the task has: Kubernetes refuses it elsewhere.
const OF_SIDECARS: [&str; 4] = ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"];

/// Reads `file` or `envVar` of a manager.
pub(super) fn compile(compiler: &mut Compiler, value: &Value, is_file: bool) -> Section {
    let mut section = Section::default();
    let first = compiler.samples.len();
    let Value::Object(members) = value else {
        compiler.problem("must be a mapping");
        return section;
    };
    for (name, value) in members {
        compiler.at(name, |compiler| match name.to_ascii_lowercase().as_str() {
            "env" => section.env = items(compiler, value, Part::Variable, variable),
            "volumes" => section.volumes = items(compiler, value, Part::Volume, volume),
            "volumemounts" => section.mounts = items(compiler, value, Part::Mount, mount),
            "initcontainers" => {
                section.init_containers = items(compiler, value, Part::Container, init_container);
            }
            "sidecars" => section.sidecars = items(compiler, value, Part::Container, sidecar),
            "annotations" => section.annotations = annotations(compiler, value),
            "path" if is_file => section.path = compiler.text(value, Kind::FilePath, false),
            _ => compiler.problem(format!(
                "unknown key; known here: env, volumes, volumeMounts, initContainers, sidecars, annotations{}",
                if is_file { ", path" } else { "" }
            )),
        });
    }
    check(compiler, first);
    section
}

/// A list of parts, each read by `read`; what it comes to for a request is kept to be checked.
fn items<T: Fill>(
    compiler: &mut Compiler,
    value: &Value,
    part: Part,
    read: fn(&mut Compiler, &Value) -> Option<T>,
) -> Vec<T> {
    let Value::Array(items) = value else {
        compiler.problem("must be a list");
        return Vec::new();
    };
    let mut all = Vec::new();
    for (index, item) in items.iter().enumerate() {
        compiler.at(index, |compiler| {
            let before = compiler.problems.len();
            let Some(item) = read(compiler, item) else { return };
            if compiler.problems.len() == before
                && let Some(value) = item.sample()
            {
                compiler.samples.push(Sample { part, path: compiler.place().to_vec(), value });
            }
            all.push(item);
        });
    }
    all
}

/// What can be filled for a request that is tried.
trait Fill {
    fn sample(&self) -> Option<Value>;
}

impl Fill for Tree {
    fn sample(&self) -> Option<Value> {
        self.fill(&sample(&sample_request())).ok()
    }
}

impl Fill for (Text, EnvValue) {
    fn sample(&self) -> Option<Value> {
        let request = sample_request();
        let values = sample(&request);
        let name = self.0.fill(&values).ok()?;
        Some(match &self.1 {
            EnvValue::Text(text) => serde_json::json!({"name": name, "value": text.fill(&values).ok()?}),
            EnvValue::From(tree) => serde_json::json!({"name": name, "valueFrom": tree.fill(&values).ok()?}),
        })
    }
}

fn variable(compiler: &mut Compiler, value: &Value) -> Option<(Text, EnvValue)> {
    let Value::Object(members) = value else {
        compiler.problem("must be a mapping with `name` and `value` or `valueFrom`");
        return None;
    };
    let (mut name, mut source, mut is_wrong) = (None, None, false);
    for (member, value) in members {
        compiler.at(member, |compiler| match member.as_str() {
            "name" => name = compiler.text(value, Kind::Variable, false),
            "value" if source.is_none() => {
                source = compiler.text(value, Kind::Text, true).map(EnvValue::Text);
            }
            "valueFrom" if source.is_none() => source = Some(EnvValue::From(compiler.part(value))),
            "value" | "valueFrom" => compiler.problem("only one of `value` and `valueFrom`"),
            _ => {
                is_wrong = true;
                compiler.problem("unknown key; known here: name, value, valueFrom");
            }
        });
    }
    match (name, source) {
        (Some(name), Some(source)) => {
            if name.template.is_fixed() && !source.fields().is_empty() {
                compiler.problem(
                    "every request of a pod would set this variable to something else: put {{variable}} or {{envVar}} \
                     into its name",
                );
            }
            Some((name, source))
        }
        _ => {
            if !is_wrong
                && !(members.contains_key("name")
                    && (members.contains_key("value") || members.contains_key("valueFrom")))
            {
                compiler.problem("needs `name`, and `value` or `valueFrom`");
            }
            None
        }
    }
}

impl EnvValue {
    fn fields(&self) -> BTreeSet<Field> {
        match self {
            Self::Text(text) => Tree::Text(text.clone()).fields(),
            Self::From(tree) => tree.fields(),
        }
    }
}

fn volume(compiler: &mut Compiler, value: &Value) -> Option<Tree> {
    let tree = compiler.members(value, |compiler, name, member| match name {
        "name" => compiler.leaf(member, Kind::Label, false),
        // A folder of the node, an image: nothing for requests to choose.
        "hostPath" | "image" => compiler.fixed(member),
        _ => compiler.part(member),
    });
    let sources = value.as_object().map_or(0, |members| members.keys().filter(|name| *name != "name").count());
    if sources != 1 {
        compiler.problem("a volume has a `name` and exactly one source, such as `csi` or `emptyDir`");
    }
    named(compiler, tree, &["name"])
}

fn mount(compiler: &mut Compiler, value: &Value) -> Option<Tree> {
    let tree = mount_of_container(compiler, value);
    named(compiler, tree, &["name", "mountPath"])
}

/// A mount that is told from others by its container.
fn mount_of_container(compiler: &mut Compiler, value: &Value) -> Tree {
    compiler.members(value, |compiler, name, member| match name {
        "name" => compiler.leaf(member, Kind::Label, false),
        "mountPath" => compiler.leaf(member, Kind::MountPath, false),
        "subPath" => compiler.leaf(member, Kind::Path, false),
        "subPathExpr" => compiler.leaf(member, Kind::Path, true),
        _ => compiler.part(member),
    })
}

fn init_container(compiler: &mut Compiler, value: &Value) -> Option<Tree> {
    if value["restartPolicy"] == "Always" {
        compiler
            .at("restartPolicy", |compiler| compiler.problem("a container that keeps running belongs to `sidecars`"));
    }
    for name in OF_SIDECARS.into_iter().filter(|name| !value[*name].is_null()) {
        compiler.at(name, |compiler| compiler.problem("Kubernetes takes this in `sidecars` only"));
    }
    container(compiler, value)
}

/// A native sidecar (KEP-753): a plain container would keep the pod of a task running for ever.
fn sidecar(compiler: &mut Compiler, value: &Value) -> Option<Tree> {
    match &value["restartPolicy"] {
        Value::Null => {}
        policy if policy == "Always" => {}
        _ => {
            compiler.at("restartPolicy", |compiler| compiler.problem("is `Always` for a sidecar, and can be left out"))
        }
    }
    let mut value = value.clone();
    if let Value::Object(members) = &mut value {
        members.insert("restartPolicy".to_owned(), Value::from("Always"));
    }
    container(compiler, &value)
}

fn container(compiler: &mut Compiler, value: &Value) -> Option<Tree> {
    let tree = compiler.members(value, |compiler, name, member| match (name, member) {
        ("name", _) => compiler.leaf(member, Kind::Label, false),
        ("command" | "args", Value::Array(_)) => compiler.command(value, name, true),
        ("env", Value::Array(_)) => compiler.list(member, |compiler, item| {
            compiler.members(item, |compiler, name, member| match name {
                "name" => compiler.leaf(member, Kind::Variable, false),
                "value" => compiler.leaf(member, Kind::Text, true),
                _ => compiler.part(member),
            })
        }),
        ("volumeMounts", Value::Array(_)) => compiler.list(member, mount_of_container),
        (name, _) if FIXED.contains(&name) => compiler.fixed(member),
        _ => compiler.part(member),
    });
    named(compiler, tree, &["name", "image"])
}

/// A part that is told from others by these members: what depends on the request must make a difference there, too.
fn named(compiler: &mut Compiler, tree: Tree, by: &[&str]) -> Option<Tree> {
    let Tree::Map(members) = &tree else { return None };
    let missing: Vec<_> = by.iter().filter(|name| tree.member(name).is_none()).collect();
    for name in &missing {
        compiler.problem(format!("needs `{name}`"));
    }
    if !missing.is_empty() {
        return None;
    }
    let of_name: BTreeSet<Field> = by
        .iter()
        .filter(|name| **name != "image")
        .filter_map(|name| tree.member(name))
        .flat_map(Tree::fields)
        .collect();
    let undetermined = members.iter().find_map(|(name, member)| {
        member.fields().into_iter().find(|field| !determines(&of_name, *field)).map(|field| (name.clone(), field))
    });
    if let Some((member, field)) = undetermined {
        compiler.at(member, |compiler| {
            compiler.problem(format!(
                "depends on {{{{{}}}}}, and the name does not, so two requests of a pod would be at odds: put {{{{id}}}} into \
                 the name",
                field.name()
            ));
        });
    }
    Some(tree)
}

/// Whether two requests with the same text in the name have the same `field`.
fn determines(name: &BTreeSet<Field>, field: Field) -> bool {
    field == Field::Namespace || [Field::Id, Field::Index, field].iter().any(|one| name.contains(one))
}

fn annotations(compiler: &mut Compiler, value: &Value) -> Vec<(Text, Text)> {
    let Value::Object(members) = value else {
        compiler.problem("must be a mapping");
        return Vec::new();
    };
    let mut all = Vec::new();
    for (name, value) in members {
        compiler.at(name, |compiler| {
            let name = compiler.text(&Value::from(name.as_str()), Kind::Annotation, false);
            let value = compiler.text(value, Kind::Text, false);
            let (Some(name), Some(value)) = (name, value) else { return };
            let of_name = Tree::Text(name.clone()).fields();
            let undetermined = Tree::Text(value.clone()).fields().into_iter().find(|field| !determines(&of_name, *field));
            if let Some(field) = undetermined {
                compiler.problem(format!(
                    "depends on {{{{{}}}}}, and its name does not, so two requests of a pod would be at odds: put {{{{id}}}} \
                     into the name",
                    field.name()
                ));
            }
            all.push((name, value));
        });
    }
    all
}

/// Checks what the parts of a section have to do with each other; they are the samples from `first` on.
fn check(compiler: &mut Compiler, first: usize) {
    let samples = compiler.samples.split_off(first);
    let prefix = compiler.place().len();
    let text = |sample: &Sample, member: &str| sample.value[member].as_str().unwrap_or_default().to_owned();
    let mut problems = Vec::new();
    let mut problem = |sample: &Sample, member: Option<&str>, message: String| {
        let path = sample.path[prefix..].iter().cloned().chain(member.map(str::to_owned)).collect::<Vec<_>>();
        problems.push((path, message));
    };
    let mut names: Vec<(Part, String)> = Vec::new();
    for sample in samples.iter().filter(|sample| matches!(sample.part, Part::Volume | Part::Container)) {
        let name = text(sample, "name");
        if TAKEN.contains(&name.as_str()) {
            problem(sample, Some("name"), format!("{name:?} is a name of another manager's"));
        } else if names.contains(&(sample.part, name.clone())) {
            problem(sample, Some("name"), format!("{name:?} is there twice"));
        }
        names.push((sample.part, name));
    }
    let has_volume = |name: &str| names.contains(&(Part::Volume, name.to_owned()));
    let mut paths: Vec<String> = Vec::new();
    for sample in &samples {
        if sample.part == Part::Mount {
            let path = text(sample, "mountPath");
            if paths.contains(&path) {
                problem(sample, Some("mountPath"), format!("{path:?} is mounted twice"));
            }
            paths.push(path);
        }
        let own = std::slice::from_ref(&sample.value);
        let mounts = match sample.part {
            Part::Mount => own,
            Part::Container => sample.value["volumeMounts"].as_array().map(Vec::as_slice).unwrap_or_default(),
            _ => &[],
        };
        for name in mounts.iter().filter_map(|mount| mount["name"].as_str()).filter(|name| !has_volume(name)) {
            let message = format!("mounts the volume {name:?}, which is not among `volumes` here");
            problem(sample, None, message);
        }
    }
    for (path, message) in problems {
        descend(compiler, &path, message);
    }
    compiler.samples.extend(samples);
}

fn descend(compiler: &mut Compiler, path: &[String], message: String) {
    match path {
        [] => compiler.problem(message),
        [first, rest @ ..] => compiler.at(first, |compiler| descend(compiler, rest, message)),
    }
}
