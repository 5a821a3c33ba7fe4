//! What a look-up sees of the world: variables, and the folder that relative paths start from.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

/// Names of variables and their values, which may be secrets.
pub(crate) type Variables = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// The process's own variables and working folder, or others in their place.
#[derive(Clone)]
pub(crate) struct Surroundings(Option<Arc<Injected>>);

struct Injected {
    variables: Variables,
    folder: PathBuf,
}

impl Surroundings {
    /// The process's own.
    pub(crate) fn process() -> Self {
        Self(None)
    }

    /// These variables and no others; relative paths start from the folder.
    pub(crate) fn of(variables: Variables, folder: PathBuf) -> Self {
        Self(Some(Arc::new(Injected { variables, folder })))
    }

    /// A variable's value. No variable can have an empty name or one with `=` or NUL.
    pub(crate) fn variable(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        match &self.0 {
            Some(injected) => injected.variables.get(name).cloned(),
            None => std::env::var_os(name).map(|value| Zeroizing::new(value.into_vec())),
        }
    }

    /// Whether the variable is set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.variable(name).is_some()
    }

    /// The file to open for a path.
    pub(crate) fn file(&self, path: &Path) -> PathBuf {
        match &self.0 {
            Some(injected) => injected.folder.join(path),
            None => path.to_owned(),
        }
    }
}
