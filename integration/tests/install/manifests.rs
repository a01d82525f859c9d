//! The manifests: one chart, and what is made of it.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use integration::outside::{self, Program};
use serde_json::Value;

use crate::run::run;

/// What `mainsheet install` makes when it is not there; nothing of it may run with more than Pod Security `restricted` allows.
const NAMESPACE: &str = "\
# Everything of an installation in namespace istio-system, for `kubectl apply --server-side -f`; `make golden` makes it of the chart and the definitions.
apiVersion: v1
kind: Namespace
metadata:
  name: istio-system
  labels:
    app.kubernetes.io/managed-by: mainsheet
    app.kubernetes.io/name: mainsheet
    app.kubernetes.io/part-of: mainsheet
    pod-security.kubernetes.io/enforce: restricted
";

fn path(name: &str) -> PathBuf {
    outside::repository().join("manifests").join(name)
}

/// The chart as Helm writes it. The version of Kubernetes is said, so that no cluster is asked.
fn rendered(namespace: &str, values: &[&str]) -> Result<String> {
    let chart = path("helm/mainsheet");
    let chart = chart.to_str().context("a path that is no text")?;
    let mut arguments = vec!["template", "mainsheet", chart, "--namespace", namespace, "--kube-version", "1.34.4"];
    arguments.extend(values.iter().flat_map(|value| ["--set-string", value]));
    Ok(run(Program::Helm, &arguments)?.out)
}

/// The documents of a YAML, ordered by kind and name.
fn objects(text: &str) -> Result<Vec<Value>> {
    let documents = text.split("\n---\n").map(|document| document.trim_start_matches("---\n"));
    let mut objects = documents.map(serde_saphyr::from_str).collect::<Result<Vec<Value>, _>>()?;
    objects.sort_by_key(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
    Ok(objects)
}

/// `UPDATE_GOLDEN=1` writes the file anew.
#[test]
fn golden_install_yaml_is_the_chart_with_namespace_and_definitions() -> Result<()> {
    let name = "golden_install_yaml_is_the_chart_with_namespace_and_definitions";
    if !outside::all_present(name, &[Program::Helm, Program::ControlPlane])? {
        return Ok(());
    }
    let definitions = run(Program::ControlPlane, &["crds"])?.out;
    let made = [NAMESPACE, &definitions, &rendered("istio-system", &["managedBy=mainsheet"])?].concat();
    let file = path("install.yaml");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&file, &made)?;
    }
    let written = std::fs::read_to_string(&file)?;
    let differs = written.lines().zip(made.lines()).position(|(written, made)| written != made);
    ensure!(written == made, "install.yaml differs from line {differs:?} (from 0); `make golden` writes it anew");
    Ok(())
}

/// The command changes namespace, image and replicas as Helm would.
#[test]
fn the_command_installs_what_helm_renders() -> Result<()> {
    if !outside::all_present("the_command_installs_what_helm_renders", &[Program::Helm, Program::ControlPlane])? {
        return Ok(());
    }
    let arguments = "install --dry-run --namespace mesh --replicas 3 --image registry.test/mainsheet:7";
    let printed = run(Program::ControlPlane, &arguments.split(' ').collect::<Vec<_>>())?.out;
    let mut printed = objects(&printed)?;
    printed.retain(|object| object["kind"] != "Namespace" && object["kind"] != "CustomResourceDefinition");
    let values = ["managedBy=mainsheet", "image.repository=registry.test/mainsheet", "image.tag=7"];
    let mut wanted = objects(&rendered("mesh", &values)?)?;
    for object in wanted.iter_mut().filter(|object| object["kind"] == "Deployment") {
        object["spec"]["replicas"] = 3.into();
    }
    ensure!(printed.len() == wanted.len(), "{} objects, Helm has {}", printed.len(), wanted.len());
    for (printed, wanted) in printed.iter().zip(&wanted) {
        ensure!(printed == wanted, "{printed:#}\nHelm has\n{wanted:#}");
    }
    Ok(())
}

#[test]
fn kustomize_builds_the_same_objects() -> Result<()> {
    if !outside::all_present("kustomize_builds_the_same_objects", &[Program::Kubectl])? {
        return Ok(());
    }
    let folder = path("");
    let built =
        objects(&run(Program::Kubectl, &["kustomize", folder.to_str().context("a path that is no text")?])?.out)?;
    let wanted = objects(&std::fs::read_to_string(path("install.yaml"))?)?;
    ensure!(built == wanted, "{} objects, install.yaml has {}", built.len(), wanted.len());
    Ok(())
}

#[test]
fn helm_refuses_values_that_the_chart_does_not_have() -> Result<()> {
    if !outside::all_present("helm_refuses_values_that_the_chart_does_not_have", &[Program::Helm])? {
        return Ok(());
    }
    let error = rendered("istio-system", &["replica=3"]).err().context("a misprint was taken")?.to_string();
    ensure!(error.contains("replica"), "{error}");
    Ok(())
}
