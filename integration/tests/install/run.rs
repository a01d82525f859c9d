//! Programs, run to their end, and what they leave in a cluster.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Result, ensure};
use integration::outside::Program;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
    discovery::{Discovery, verbs},
};

/// What a program wrote.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) notes: String,
}

/// Runs a program.
///
/// # Errors
/// It fails: what it wrote.
pub(crate) fn run(program: Program, arguments: &[&str]) -> Result<Said> {
    let output = Command::new(program.find()?).args(arguments).output()?;
    let [out, notes] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    ensure!(output.status.success(), "{program:?} {arguments:?}: {}: {notes}{out}", output.status);
    Ok(Said { out, notes })
}

/// `mainsheet` with a kubeconfig; it blocks, and so runs beside the test.
///
/// # Errors
/// It fails: what it wrote.
pub(crate) async fn mainsheet(kubeconfig: &Path, arguments: &str) -> Result<Said> {
    let line = format!("{arguments} --kubeconfig {}", kubeconfig.display());
    tokio::task::spawn_blocking(move || run(Program::ControlPlane, &line.split_whitespace().collect::<Vec<_>>()))
        .await?
}

/// Everything that a cluster holds and that is not going, with the version of each; `labels` narrows it.
///
/// # Errors
/// The API server does not answer, which it may while kinds come and go.
pub(crate) async fn inventory(client: &Client, labels: &str) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for group in Discovery::new(client.clone()).run_aggregated().await?.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            // Events tell of the past.
            if !capabilities.supports_operation(verbs::LIST) || resource.kind == "Event" {
                continue;
            }
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let listed = api.list(&ListParams::default().labels(labels)).await?;
            for metadata in listed.items.into_iter().map(|object| object.metadata) {
                if metadata.deletion_timestamp.is_none() {
                    let [namespace, name] = [metadata.namespace, metadata.name].map(Option::unwrap_or_default);
                    let version = metadata.resource_version.unwrap_or_default();
                    found.insert(format!("{} {namespace}/{name}", resource.kind), version);
                }
            }
        }
    }
    Ok(found)
}

/// What is in one and not in the other, by name.
pub(crate) fn difference(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    let left = one.keys().filter(|name| !other.contains_key(*name)).map(|name| format!("-{name}"));
    let right = other.keys().filter(|name| !one.contains_key(*name)).map(|name| format!("+{name}"));
    left.chain(right).collect()
}
