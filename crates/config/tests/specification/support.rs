//! Loads texts as if they were files.

use flyte_secrets_config::{ConfigErrors, Inputs, Loaded, load};

/// Loads files `1.yaml`, `2.yaml`, … with these texts.
pub(crate) fn load_files(texts: &[&str]) -> Result<Loaded, ConfigErrors> {
    load_with(texts, Inputs::default())
}

/// Loads one file.
pub(crate) fn load_one(text: &str) -> Result<Loaded, ConfigErrors> {
    load_files(&[text])
}

/// Loads files over other inputs.
pub(crate) fn load_with(texts: &[&str], mut inputs: Inputs) -> Result<Loaded, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    for (index, text) in texts.iter().enumerate() {
        let path = folder.path().join(format!("{}.yaml", index + 1));
        std::fs::write(&path, text).unwrap();
        inputs.files.push(path.to_str().unwrap().to_owned());
    }
    load(&inputs)
}

/// The errors without the folder of the files, a line each.
pub(crate) fn errors_of(result: Result<Loaded, ConfigErrors>) -> Vec<String> {
    let errors = result.expect_err("this configuration is wrong");
    errors.to_string().lines().map(|line| file_name_only(line).to_owned()).collect()
}

/// Drops the folder in front of the first file name.
pub(crate) fn file_name_only(line: &str) -> &str {
    let end = line.find(".yaml").unwrap_or(0);
    line.get(line[..end].rfind('/').map_or(0, |slash| slash + 1)..).unwrap_or(line)
}

/// Pairs of texts, owned.
pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Only flags.
pub(crate) fn with_flags(flags: &[(&str, &str)]) -> Inputs {
    Inputs { flags: pairs(flags), ..Inputs::default() }
}

/// Only an environment.
pub(crate) fn with_environment(variables: &[(&str, &str)]) -> Inputs {
    Inputs { environment: pairs(variables), ..Inputs::default() }
}
