//! The table of cases, run against an API server and against `mainsheet analyze`.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result, ensure};
use integration::outside::{self, Program};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Served;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    kind: String,
    spec: Option<Value>,
    /// Part of the message with which an API server refuses it.
    refused: Option<String>,
    /// Where files are judged otherwise.
    files: Option<Files>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Files {
    Refused,
}

impl Case {
    fn object(&self, api_version: &str, name: &str) -> Value {
        let mut object =
            json!({"apiVersion": api_version, "kind": self.kind, "metadata": {"name": name, "namespace": "default"}});
        if let Some(spec) = &self.spec {
            object["spec"] = spec.clone();
        }
        object
    }
}

fn cases() -> Result<Vec<Case>> {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("cases.yaml"))?;
    ensure!(cases.len() > 150, "{} cases", cases.len());
    Ok(cases)
}

#[tokio::test]
async fn an_api_server_takes_and_refuses_what_the_table_says() -> Result<()> {
    let name = "an_api_server_takes_and_refuses_what_the_table_says";
    if !outside::all_present(name, &[Program::Etcd, Program::KubeApiServer])? {
        return Ok(());
    }
    let served = Served::start().await?;
    let mut wrong = String::new();
    for case in cases()? {
        for version in served.versions(&case.kind) {
            let path = served.path(&case.kind, version)?;
            let group = path.split('/').nth(2).context("a path without a group")?;
            let object = case.object(&format!("{group}/{version}"), "a");
            let refusal = served.refusal(&path, &object).await?;
            let right = match (&case.refused, &refusal) {
                (None, None) => true,
                (Some(expected), Some(refusal)) => refusal.contains(expected.as_str()),
                (None, Some(_)) | (Some(_), None) => false,
            };
            if !right {
                wrong += &format!("\n{object}\n  expected {:?}\n  answered {refusal:?}", case.refused);
            }
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

#[test]
fn files_are_taken_and_refused_as_an_api_server_would() -> Result<()> {
    if !outside::all_present("files_are_taken_and_refused_as_an_api_server_would", &[Program::ControlPlane])? {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let cases = cases()?;
    for (at, case) in cases.iter().enumerate() {
        let version = match case.kind.as_str() {
            "EnvoyFilter" => "networking.istio.io/v1alpha3",
            "ProxyConfig" => "networking.istio.io/v1beta1",
            "WasmPlugin" | "TrafficExtension" => "extensions.istio.io/v1alpha1",
            "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication" => "security.istio.io/v1",
            "Telemetry" => "telemetry.istio.io/v1",
            _ => "networking.istio.io/v1",
        };
        let object = case.object(version, &format!("case-{at}"));
        fs::write(directory.path().join(format!("{at}.yaml")), object.to_string())?;
    }
    let output =
        Command::new(Program::ControlPlane.find()?).args(["analyze", "-o", "json"]).arg(directory.path()).output()?;
    let report: Value =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let mut errors: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    let problems = report["items"].as_array().context("a report without items")?;
    for problem in problems.iter().filter(|problem| problem["severity"] == "error") {
        let object = problem["object"].as_str().context("a problem without an object")?;
        errors.entry(object.to_owned()).or_default().push(problem);
    }
    let mut wrong = String::new();
    for (at, case) in cases.iter().enumerate() {
        let found = errors.get(&format!("{} default/case-{at}", case.kind));
        let refused = case.refused.is_some() || case.files == Some(Files::Refused);
        if refused != found.is_some() {
            wrong += &format!("\n{case:?}\n  found {found:?}");
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}
