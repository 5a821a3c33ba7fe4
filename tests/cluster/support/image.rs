//! The image that `make image` has built.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::testbed::script;
use crate::harness::bed;

/// Its name on the node.
pub(crate) const NAME: &str = "localhost/flyte-secrets:test";

/// The folder into which `make image` and `make sbom` write.
pub(crate) fn folder() -> PathBuf {
    let folder = std::env::var_os("FLYTE_SECRETS_IMAGE").map(PathBuf::from);
    folder.expect("FLYTE_SECRETS_IMAGE is not set: run `make cluster`")
}

/// The image as an OCI archive.
pub(crate) fn archive() -> PathBuf {
    folder().join("flyte-secrets.tar")
}

/// Makes sure that there is a node that has the image.
pub(crate) async fn on_the_node() {
    static DONE: OnceCell<()> = OnceCell::const_new();
    let import = async {
        bed().with_node();
        script("import.sh", &[archive().to_str().unwrap()], "").await.unwrap();
    };
    DONE.get_or_init(|| import).await;
}

/// An unpacked image.
pub(crate) struct Image {
    /// Its configuration: user, command, labels.
    pub(crate) config: Value,
    /// The digest of its manifest.
    pub(crate) digest: String,
    /// Sizes of all layers in bytes, as they are stored and unpacked.
    pub(crate) compressed: u64,
    pub(crate) unpacked: u64,
    folder: TempDir,
}

impl Image {
    pub(crate) fn unpack(archive: &Path) -> Self {
        let folder = TempDir::with_prefix("fs-image-").unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        tar(archive, "-x", folder.path());
        let blob = |described: &Value| {
            let digest = described["digest"].as_str().unwrap();
            folder.path().join("blobs").join(digest.replace(':', "/"))
        };
        let index = json(&folder.path().join("index.json"));
        let described = &index["manifests"][0];
        let manifest = json(&blob(described));
        let layers = manifest["layers"].as_array().unwrap();
        let mut unpacked = 0;
        for layer in layers {
            tar(&blob(layer), "-xz", &root);
            unpacked += size_without_compression(&blob(layer));
        }
        Self {
            config: json(&blob(&manifest["config"])),
            digest: described["digest"].as_str().unwrap().to_owned(),
            compressed: layers.iter().map(|layer| layer["size"].as_u64().unwrap()).sum(),
            unpacked,
            folder,
        }
    }

    /// Its file system.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }
}

fn tar(archive: &Path, how: &str, into: &Path) {
    let status = Command::new("tar").arg(how).arg("-f").arg(archive).arg("-C").arg(into).status().unwrap();
    assert!(status.success(), "{}", archive.display());
}

fn size_without_compression(gzip: &Path) -> u64 {
    let output = Command::new("bash").args(["-c", "gzip -dc <\"$0\" | wc -c"]).arg(gzip).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}
