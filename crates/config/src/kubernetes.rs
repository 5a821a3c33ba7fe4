//! Parts of a pod held against Kubernetes' own types, as strictly as an API server with `fieldValidation: Strict`.

use flyte_secrets_core::injectors::{Part, Problem, Sample};
use k8s_openapi::api::core::v1::{Container, EnvVar, Volume, VolumeMount};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::Segment;

/// What an API server would have against the part.
pub(crate) fn check(sample: &Sample, allow_unknown: bool) -> Vec<Problem> {
    let mut problems = match sample.part {
        Part::Variable => strict::<EnvVar>(&sample.value, allow_unknown),
        Part::Volume => strict::<Volume>(&sample.value, allow_unknown),
        Part::Mount => strict::<VolumeMount>(&sample.value, allow_unknown),
        Part::Container => strict::<Container>(&sample.value, allow_unknown),
    };
    for problem in &mut problems {
        problem.path.splice(..0, sample.path.iter().cloned());
    }
    problems
}

/// The types pass over members that they do not know and make up members that they need; both show in what they write again.
fn strict<T: DeserializeOwned + Serialize>(value: &Json, allow_unknown: bool) -> Vec<Problem> {
    let typed: T = match serde_path_to_error::deserialize(value) {
        Ok(typed) => typed,
        Err(error) => {
            let path = error.path().iter().filter_map(step).collect();
            return vec![Problem { path, message: format!("Kubernetes takes something else here: {}", error.inner()) }];
        }
    };
    let written = serde_json::to_value(&typed).unwrap_or_default();
    let mut problems = Vec::new();
    compare(value, &written, allow_unknown, &mut Vec::new(), &mut problems);
    problems
}

fn compare(given: &Json, known: &Json, allow_unknown: bool, path: &mut Vec<String>, problems: &mut Vec<Problem>) {
    let mut problem = |path: &[String], message: String| problems.push(Problem { path: path.to_vec(), message });
    match (given, known) {
        (Json::Object(given), Json::Object(known)) => {
            for missing in known.keys().filter(|name| !given.contains_key(*name)) {
                problem(path, format!("needs `{missing}`"));
            }
            for (name, value) in given {
                path.push(name.clone());
                match known.get(name) {
                    Some(known) => compare(value, known, allow_unknown, path, problems),
                    None if allow_unknown => {}
                    None => problems.push(Problem {
                        path: path.clone(),
                        message:
                            "Kubernetes has no such field here, as far as this program knows; for one that is newer \
                                  set `allowUnknownFields: true` for the manager"
                                .to_owned(),
                    }),
                }
                path.pop();
            }
        }
        (Json::Array(given), Json::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                path.push(index.to_string());
                compare(given, known, allow_unknown, path, problems);
                path.pop();
            }
        }
        _ => {}
    }
}

fn step(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}
