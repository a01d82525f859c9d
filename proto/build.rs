//! Generates the wire types from the descriptor set that the package `envoy-types` carries.
//!
//! That package is never compiled: its own types keep maps in `HashMap`, so one message encodes to different bytes each
//! time, and `Any.value` in `Vec<u8>`, so each push copies. Generating takes about a second and needs no `protoc`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use prost::Message;
use prost_types::FileDescriptorSet;

const SOURCE_PACKAGE: &str = "envoy-types";
/// Where the descriptor set lies within that package.
const DESCRIPTORS: &str = "src/generated/types.bin";
/// The services whose clients are used; the others would only cost compile time.
const SERVICES: [&str; 2] = ["AggregatedDiscoveryService", "SecretDiscoveryService"];

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.toml");
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let path = source_package(&variable("CARGO")?, Path::new(&variable("CARGO_MANIFEST_DIR")?))?.join(DESCRIPTORS);
    println!("cargo::rerun-if-changed={}", path.display());
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut set = FileDescriptorSet::decode(bytes.as_slice())
        .with_context(|| format!("{} is not a file descriptor set", path.display()))?;
    for file in &mut set.file {
        file.source_code_info = None;
        file.service.retain(|service| SERVICES.contains(&service.name()));
    }
    fs::write(out_dir.join("descriptors.bin"), set.encode_to_vec()).context("cannot write the descriptor set")?;
    generate(set).context("cannot generate the wire types")
}

fn generate(set: FileDescriptorSet) -> Result<()> {
    let mut config = prost_build::Config::new();
    config
        .btree_map(["."])
        .bytes(["."])
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .disable_comments(["."])
        // The other well-known types are those of prost-types, wrappers are plain values.
        .extern_path(".google.protobuf.Any", "crate::google::protobuf::Any");
    tonic_prost_build::configure()
        .build_server(false)
        .include_file("modules.rs")
        .compile_fds_with_config(set, config)?;
    Ok(())
}

/// The folder of the unpacked source package: looked up without the network first, so that an offline build works.
fn source_package(cargo: &OsString, manifest_dir: &Path) -> Result<PathBuf> {
    match metadata(cargo, manifest_dir, &["--offline"]) {
        Ok(folder) => Ok(folder),
        Err(offline) => metadata(cargo, manifest_dir, &[]).with_context(|| {
            format!(
                "the package {SOURCE_PACKAGE} is needed for its descriptor set; run `cargo fetch` once with network \
                 access (offline lookup: {offline:#})"
            )
        }),
    }
}

/// Asks cargo for all packages of all platforms: the source package is declared for no platform, and only so resolved.
fn metadata(cargo: &OsString, manifest_dir: &Path, arguments: &[&str]) -> Result<PathBuf> {
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(manifest_dir.join("Cargo.toml"))
        .args(arguments)
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
    answer
        .get("packages")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .find(|package| package.get("name").and_then(serde_json::Value::as_str) == Some(SOURCE_PACKAGE))
        .and_then(|package| package.get("manifest_path")?.as_str())
        .and_then(|manifest| Path::new(manifest).parent())
        .map(Path::to_path_buf)
        .with_context(|| format!("cargo metadata does not name {SOURCE_PACKAGE}"))
}

fn variable(name: &str) -> Result<OsString> {
    env::var_os(name).with_context(|| format!("{name} is not set: this program is run by cargo"))
}
