//! Makes the messages and services out of `proto/`, without `protoc`.

use std::error::Error;
use std::path::Path;

const SERVICES: [&str; 2] = ["flyteidl2/secret/secret.proto", "flyteidl2/cluster/service.proto"];
/// What code is made of; the annotations of Google are only read.
const FILES: [&str; 6] = [
    "flyteidl2/secret/secret.proto",
    "flyteidl2/secret/payload.proto",
    "flyteidl2/secret/definition.proto",
    "flyteidl2/common/identifier.proto",
    "flyteidl2/cluster/service.proto",
    "flyteidl2/cluster/payload.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::var("OUT_DIR")?;
    let descriptors = Path::new(&out).join("descriptors.bin");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(SERVICES)?;
    std::fs::write(&descriptors, compiler.encode_file_descriptor_set())?;
    connectrpc_build::Config::new()
        .descriptor_set(&descriptors)
        .files(&FILES)
        .gate_client_feature(true)
        .include_file("_connectrpc.rs")
        .emit_rerun_directives(false)
        .compile()?;
    rerun_if_changed();
    Ok(())
}

/// The files that this depends on.
#[allow(clippy::print_stdout)]
fn rerun_if_changed() {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
}
