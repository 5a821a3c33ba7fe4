//! Finds and reads the files. The only input and output of this crate.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use crate::errors::ConfigError;
use crate::origin::Origin;

/// Most files, and the largest, in bytes.
const MAX_FILES: usize = 128;
const MAX_BYTES: u64 = 1 << 20;

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) name: Arc<str>,
    pub(crate) text: String,
}

/// Reads the files that the paths and globs name, in their order.
pub(crate) fn read(patterns: &[String], errors: &mut Vec<ConfigError>) -> Vec<File> {
    let mut names = Vec::new();
    for pattern in patterns {
        match expand(pattern) {
            Ok(found) => names.extend(found),
            Err(message) => errors.push(of_file(pattern, message)),
        }
    }
    if names.len() > MAX_FILES {
        let message = format!("the {}th file; at most {MAX_FILES} are read", MAX_FILES + 1);
        errors.push(of_file(&names[MAX_FILES], message));
        names.truncate(MAX_FILES);
    }
    let mut files = Vec::new();
    for name in names {
        match read_one(Path::new(&name)) {
            Ok(text) => files.push(File { name: name.into(), text }),
            Err(message) => errors.push(of_file(&name, message)),
        }
    }
    files
}

/// The files of a path or glob, sorted by name; a folder that a glob finds is none of them.
fn expand(pattern: &str) -> Result<Vec<String>, String> {
    if !pattern.contains(['*', '?', '[']) || Path::new(pattern).exists() {
        return Ok(vec![pattern.to_owned()]);
    }
    let paths = glob::glob(pattern).map_err(|error| format!("not a glob: {error}"))?;
    // One more than is read, so that too many are noticed.
    let files = paths.filter_map(Result::ok).filter(|path| !path.is_dir()).take(MAX_FILES + 1);
    let mut names: Vec<String> = files.map(|path| path.to_string_lossy().into_owned()).collect();
    if names.is_empty() {
        return Err("no file matches this glob".to_owned());
    }
    names.sort();
    Ok(names)
}

fn read_one(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(format!("larger than {} KiB, which is no configuration", MAX_BYTES >> 10));
    }
    String::from_utf8(bytes).map_err(|error| format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
}

fn of_file(name: &str, message: String) -> ConfigError {
    ConfigError::of_file(Origin::File { path: name.into(), line: 0, column: 0 }, message)
}
