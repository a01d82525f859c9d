//! The command line against a cluster: what it reads there, and what it says when it may not.

use std::{
    os::unix::fs::symlink,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use integration::outside::Program;
use serde_json::{Value, json};

use crate::{
    permissions::{binding_of, documented_in},
    world::{NAMESPACE, World, istio, networking, route, service},
};

/// What a run of a program said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    notes: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let [out, notes] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Self { code: output.status.code(), out, notes }
    }

    /// Every problem as `CODE OBJECT`.
    fn problems(&self) -> Result<Vec<String>> {
        let list: Value = serde_json::from_str(&self.out).with_context(|| format!("{self:?}"))?;
        let items = list["items"].as_array().context("no items")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(items.iter().map(|item| format!("{} {}", text(&item["code"]), text(&item["object"]))).collect())
    }
}

fn mainsheet(kubeconfig: &std::path::Path, arguments: &[&str]) -> Result<Said> {
    let mut command = Command::new(Program::ControlPlane.find()?);
    Ok(Said::of(command.args(arguments).arg("--kubeconfig").arg(kubeconfig).output()?))
}

/// One object with an error, and one that names a host that is not there.
async fn mistakes(name: &str) -> Result<Option<World>> {
    let Some(world) = World::prepare(name, &[Program::Kubectl]).await? else { return Ok(None) };
    world.apply(networking("VirtualService", "virtualservices")).await?;
    world.apply(networking("DestinationRule", "destinationrules")).await?;
    world.apply(service("reviews", 80)).await?;
    world.apply(route("reviews", "nowhere")).await?;
    world.apply(istio("DestinationRule", "reviews", json!({"hosts": "reviews"}))).await?;
    Ok(Some(world))
}

const HOST: &str = "MS0501 VirtualService default/reviews";
const FIELD: &str = "MS0201 DestinationRule default/reviews";

#[tokio::test]
async fn analyze_reads_a_cluster_and_what_files_would_change() -> Result<()> {
    let Some(world) = mistakes("analyze_reads_a_cluster_and_what_files_would_change").await? else { return Ok(()) };
    let analyze = |arguments: &[&str]| {
        mainsheet(world.server.kubeconfig(), &[&["analyze", "-o", "json", "--show", "warning"], arguments].concat())
    };
    for arguments in [&["-A"][..], &["-n", NAMESPACE], &[]] {
        let said = analyze(arguments)?;
        ensure!(said.code == Some(1) && said.problems()? == [FIELD, HOST], "{arguments:?}: {said:?}");
    }
    let elsewhere = analyze(&["-n", "kube-system"])?;
    ensure!(elsewhere.code == Some(0) && elsewhere.problems()?.is_empty(), "{elsewhere:?}");
    let table = mainsheet(world.server.kubeconfig(), &["analyze", "-A"])?;
    ensure!(table.out.contains("DestinationRule default/reviews"), "{table:?}");
    let absent = "does not have the kinds trafficextensions,";
    ensure!(table.notes.contains(absent) && !table.notes.contains("virtualservices"), "{table:?}");

    // The file takes the place of the one, and what is wrong with the other stays.
    let file = world.directory.path().join("route.yaml");
    std::fs::write(&file, serde_json::to_string(&route("reviews", "reviews"))?)?;
    let file = file.to_str().context("a path that is no text")?;
    let said = analyze(&[file, "--with-cluster"])?;
    ensure!(said.code == Some(1) && said.problems()? == [FIELD], "{said:?}");
    std::fs::write(file, serde_json::to_string(&istio("DestinationRule", "reviews", json!({"host": "reviews"})))?)?;
    let said = analyze(&[file, "--with-cluster"])?;
    ensure!(said.code == Some(0) && said.problems()? == [HOST], "{said:?}");
    Ok(())
}

#[tokio::test]
async fn the_documented_rights_are_enough_to_analyze_and_a_missing_one_is_named() -> Result<()> {
    const NAME: &str = "the_documented_rights_are_enough_to_analyze_and_a_missing_one_is_named";
    let Some(world) = mistakes(NAME).await? else { return Ok(()) };
    let jane = world.server.kubeconfig_for("jane", None)?;
    let analyze =
        |arguments: &[&str]| mainsheet(&jane, &[&["analyze", "-o", "json", "--show", "warning"], arguments].concat());
    let said = analyze(&["-A"])?;
    ensure!(said.code == Some(1) && said.out.is_empty(), "{said:?}");
    ensure!(said.notes.contains("\"jane\" cannot list") && said.notes.contains("docs/PERMISSIONS.md"), "{said:?}");

    let [everywhere] = documented_in::<1>("docs/PERMISSIONS.md")?;
    let mut in_one = everywhere.clone();
    in_one["kind"] = "Role".into();
    in_one["metadata"]["namespace"] = NAMESPACE.into();
    for object in [&in_one, &binding_of("Role", &in_one, "jane")] {
        world.apply(object.clone()).await?;
    }
    let said = analyze(&["-n", NAMESPACE])?;
    ensure!(said.code == Some(1) && said.problems()? == [FIELD, HOST], "{said:?}");
    ensure!(said.notes.contains("seem to be missing: services,"), "{said:?}");
    ensure!(said.notes.contains("ConfigMap istio-system/istio"), "{said:?}");

    for object in [&everywhere, &binding_of("ClusterRole", &everywhere, "jane")] {
        world.apply(object.clone()).await?;
    }
    let said = analyze(&["-A"])?;
    ensure!(said.code == Some(1) && said.problems()? == [FIELD, HOST], "{said:?}");
    ensure!(!said.notes.contains("seem to be missing"), "{said:?}");
    // Who may impersonate may ask as others.
    let said = mainsheet(world.server.kubeconfig(), &["analyze", "-A", "--as", "nobody"])?;
    ensure!(said.code == Some(1) && said.notes.contains("\"nobody\" cannot list"), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn kubectl_runs_it_by_the_name_of_a_plugin() -> Result<()> {
    let Some(world) = mistakes("kubectl_runs_it_by_the_name_of_a_plugin").await? else { return Ok(()) };
    let directory = world.directory.path();
    symlink(Program::ControlPlane.find()?, directory.join("kubectl-mainsheet"))?;
    let kubectl = |arguments: &[&str]| -> Result<Said> {
        let mut command = Command::new(Program::Kubectl.find()?);
        command.env("PATH", directory).env("KUBECONFIG", world.server.kubeconfig());
        Ok(Said::of(command.arg("mainsheet").args(arguments).output()?))
    };
    let help = kubectl(&["status", "--help"])?;
    ensure!(help.code == Some(0) && help.out.contains("Usage: kubectl mainsheet status "), "{help:?}");
    let misuse = kubectl(&["status", "--sail"])?;
    ensure!(misuse.code == Some(2) && misuse.notes.contains("Usage: kubectl mainsheet status"), "{misuse:?}");
    let found = kubectl(&["analyze", "-A", "-o", "json", "--show", "warning"])?;
    ensure!(found.code == Some(1) && found.problems()? == [FIELD, HOST], "{found:?}");
    // There is no control plane in this cluster, and that is said.
    for arguments in [&["status"][..], &["proxy-config", "web.default"]] {
        let said = kubectl(arguments)?;
        let expected = ["Service istio-system/mainsheet", "mainsheet install", "--system-namespace"];
        ensure!(said.code == Some(1) && expected.iter().all(|part| said.notes.contains(part)), "{said:?}");
    }
    Ok(())
}
