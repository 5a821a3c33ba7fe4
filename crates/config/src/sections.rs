//! From a file's tree to the values of keys.

use crate::errors::ConfigError;
use crate::files::File;
use crate::keys::{self, Key, Named, SECTIONS};
use crate::kinds;
use crate::node::{Entry, Node, NodeValue};
use crate::origin::{Origin, Source};
use crate::values::Value;
use crate::yaml;

/// A value given to a key.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) key: &'static Key,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// What was read so far, in the order of the layers.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) errors: Vec<ConfigError>,
    pub(crate) warnings: Vec<String>,
}

/// How many letters may be wrong in a section for it to be taken for one of ours.
const SECTION_TYPOS: usize = 2;

/// Reads our sections of a file; those of other components of Flyte are passed over.
pub(crate) fn read_file(file: &File, read: &mut Read) {
    let source = Source::File(file.name.clone());
    let root = match yaml::parse(&file.text) {
        Ok(root) => root,
        Err(error) => {
            let origin = source.at(error.line, error.column);
            read.errors.push(ConfigError::of_file(origin, error.message));
            return;
        }
    };
    match root.value {
        NodeValue::Null => {}
        NodeValue::Map(entries) => {
            report_doubles("", &entries, &source, read);
            for entry in &entries {
                read_top(entry, &source, read);
            }
        }
        _ => {
            let message = format!("expected a mapping with sections such as `webhook:`, got {}", root.describe());
            read.errors.push(ConfigError::of_file(source.at(root.line, root.column), message));
        }
    }
}

fn read_top(entry: &Entry, source: &Source, read: &mut Read) {
    // `webhook.certDir: …` at the top is a key as well.
    let section = entry.key.split('.').next().unwrap_or_default();
    if SECTIONS.iter().any(|known| known.eq_ignore_ascii_case(section)) {
        read_entry(&entry.key, entry, source, read);
    } else if strsim::damerau_levenshtein(&entry.key.to_ascii_lowercase(), "webhook") <= SECTION_TYPOS {
        let origin = source.at(entry.line, entry.column);
        let name = entry.key.escape_debug();
        read.warnings.push(format!("{origin}: section `{name}` is not ours and ignored; did you mean `webhook`?"));
    }
}

/// Reads what stands at `path`: the value of a key, or a mapping with more.
fn read_entry(path: &str, entry: &Entry, source: &Source, read: &mut Read) {
    match keys::find(path) {
        Named::Key(key) => read_key(key, &entry.value, source, read),
        Named::Section(section) => read_section(section, &entry.value, source, read),
        Named::Unknown if keys::is_lenient(path) => {}
        Named::Unknown => {
            read.errors.push(unknown(path, source.at(entry.line, entry.column)));
        }
    }
}

fn read_key(key: &'static Key, node: &Node, source: &Source, read: &mut Read) {
    if let Some(value) = kinds::read(key, node, source, &mut read.errors) {
        read.assignments.push(Assignment { key, value, origin: source.at(node.line, node.column) });
    }
}

/// Reads the members of a mapping whose keys are all known.
pub(crate) fn read_section(section: &str, node: &Node, source: &Source, read: &mut Read) {
    match &node.value {
        NodeValue::Null => {}
        NodeValue::Map(entries) => {
            report_doubles(section, entries, source, read);
            for entry in entries {
                read_entry(&format!("{section}.{}", entry.key), entry, source, read);
            }
        }
        _ => {
            let message = format!("expected a mapping, got {}", node.describe());
            read.errors.push(ConfigError::new(source.at(node.line, node.column), section, message));
        }
    }
}

/// Two spellings of one key in one mapping: Flyte takes either, nobody knows which.
fn report_doubles(section: &str, entries: &[Entry], source: &Source, read: &mut Read) {
    let mut seen = std::collections::HashMap::new();
    for entry in entries {
        let path = if section.is_empty() { entry.key.clone() } else { format!("{section}.{}", entry.key) };
        if matches!(keys::find(&path), Named::Unknown) {
            continue;
        }
        if let Some(line) = seen.insert(path.to_ascii_lowercase(), entry.line) {
            let message = format!("given twice, the first time in line {line}; case makes no difference");
            read.errors.push(ConfigError::new(source.at(entry.line, entry.column), path, message));
        }
    }
}

/// The error for a key that is not in the table.
pub(crate) fn unknown(path: &str, origin: Origin) -> ConfigError {
    let message = match keys::nearest(path) {
        Some(known) => format!("unknown key; did you mean {known}?"),
        None => "unknown key, and none is like it".to_owned(),
    };
    let path: String = path.chars().take(200).flat_map(char::escape_debug).collect();
    ConfigError::new(origin, path, message)
}
