//! Compiles the messages and services of Flyte, without a protoc.

use std::path::PathBuf;

const FILES: [&str; 4] =
    ["flyteidl.core.proto", "flyteidl.admin.proto", "flyteidl.service.proto", "flyteidl2.connector.proto"];

fn main() -> anyhow::Result<()> {
    let descriptors = PathBuf::from(std::env::var("OUT_DIR")?).join("descriptors.bin");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    std::fs::write(&descriptors, compiler.encode_file_descriptor_set())?;
    // The descriptors are new at every run; what this depends on are the files they are made of.
    connectrpc_build::Config::new()
        .files(&FILES)
        .descriptor_set(&descriptors)
        .include_file("_connectrpc.rs")
        .emit_rerun_directives(false)
        .compile()?;
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}
