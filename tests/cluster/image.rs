//! What is in the image, and what is not.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::harness::{bed, eventually};
use crate::support::image::{self, Image};

/// What another program says about the image's program.
fn readelf(image: &Image, what: &str) -> String {
    let output = Command::new("readelf").arg(what).arg(image.root().join("bin/flyte-secrets")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// All files below a folder.
fn files(root: &Path) -> Vec<String> {
    let output = Command::new("find").arg(root).args(["!", "-type", "d", "-printf", "%P\n"]).output().unwrap();
    let mut files: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    files.sort();
    files
}

#[test]
fn the_image_holds_one_static_program_and_the_authorities_of_public_certificates() {
    let image = Image::unpack(&image::archive());

    let expected =
        ["bin/flyte-secrets", "bin/flytepropeller", "etc/nsswitch.conf", "etc/ssl/certs/ca-certificates.crt"];
    assert_eq!(files(&image.root()), expected);
    assert_eq!(std::fs::read_link(image.root().join("bin/flytepropeller")).unwrap(), Path::new("flyte-secrets"));
    assert!(!readelf(&image, "-lW").contains("INTERP"), "it would need a loader");
    assert!(!readelf(&image, "-dW").contains("NEEDED"), "it would need libraries");
    assert!(!readelf(&image, "-SW").contains(".symtab"), "symbols take room and serve nobody there");
    assert!(readelf(&image, "-hW").contains("DYN"), "position independent, so that addresses are random");
}

#[test]
fn the_image_names_its_version_and_a_user_that_is_not_root() {
    let image = Image::unpack(&image::archive());

    let config = &image.config["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/bin/flyte-secrets"]));
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_image_is_small() {
    let image = Image::unpack(&image::archive());

    let megabytes = |bytes: u64| u32::try_from(bytes / 1_000).map(f64::from).unwrap() / 1e3;
    let (unpacked, compressed) = (megabytes(image.unpacked), megabytes(image.compressed));
    writeln!(std::io::stdout(), "\nfigure: image_mb = {unpacked:.1} MB").unwrap();
    writeln!(std::io::stdout(), "figure: image_compressed_mb = {compressed:.1} MB").unwrap();
    assert!(unpacked < 60.0, "{unpacked} MB");
}

#[test]
fn the_same_program_gives_the_same_image() {
    let first = Image::unpack(&image::archive());
    let program = std::env::var_os("FLYTE_SECRETS_RELEASE").map(PathBuf::from);
    let program = program.expect("FLYTE_SECRETS_RELEASE is not set: run `make cluster`");
    let folder = TempDir::with_prefix("fs-image-").unwrap();
    let again = folder.path().join("again.tar");

    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/image/build.sh");
    let mut build = Command::new(build);
    build.arg(program).arg(&again).arg(image::NAME);
    // The tree may have a new commit since.
    build.env("REVISION", first.config["config"]["Labels"]["org.opencontainers.image.revision"].as_str().unwrap());
    build.env("SOURCE_DATE_EPOCH", seconds(first.config["created"].as_str().unwrap()));
    let output = build.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(Image::unpack(&again).digest, first.digest);
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), first.digest, "the digest is what the script prints");
}

/// A time of RFC 3339 in seconds since 1970.
fn seconds(time: &str) -> String {
    let output = Command::new("date").args(["--date", time, "+%s"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn flytes_manifests_find_the_program_by_the_name_that_they_call() {
    image::on_the_node().await;
    let namespace = bed().namespace("named").await;
    // As in Flyte 1's manifests, which name no folder.
    let pod = json!({
        "metadata": {"name": "named"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "main", "image": image::NAME, "imagePullPolicy": "Never",
                "command": ["flytepropeller"], "args": ["config", "show", "--webhook.certDir=/certs"],
            }],
        },
    });
    namespace.create_pod(&pod).await.unwrap();

    let path = format!("{}/named", namespace.path("pods"));
    eventually("the end of the pod", 60, || async {
        let pod = namespace.api.get(&path).await.map_err(|failure| failure.message)?;
        if pod["status"]["phase"] == "Succeeded" { Ok(()) } else { Err(pod["status"].to_string()) }
    })
    .await;
    let log = namespace.api.text(&format!("{path}/log")).await.unwrap();
    assert!(log.contains("flyte1"), "by that name it behaves as Flyte 1 does: {log}");
}
