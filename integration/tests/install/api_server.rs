//! `mainsheet install` and `uninstall` against a real API server, which shows every object that they touch.

use anyhow::{Context, Result, ensure};
use integration::{
    cluster::ApiServer,
    outside::{self, Program},
    wait,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::run::{difference, inventory, mainsheet};

const PROGRAMS: [Program; 3] = [Program::Etcd, Program::KubeApiServer, Program::ControlPlane];
/// Nothing runs pods here.
const INSTALL: &str = "install --timeout 0";
const OURS: &str = "app.kubernetes.io/part-of=mainsheet";
const DEFINITIONS: usize = 15;

async fn server(name: &str) -> Result<Option<(ApiServer, Client)>> {
    if !outside::all_present(name, &PROGRAMS)? {
        return Ok(None);
    }
    let server = ApiServer::start().await?;
    let client = server.client().await?;
    Ok(Some((server, client)))
}

#[tokio::test]
async fn what_is_as_it_should_be_is_left_alone() -> Result<()> {
    let Some((server, client)) = server("what_is_as_it_should_be_is_left_alone").await? else { return Ok(()) };
    let run = async |arguments: &str| mainsheet(server.kubeconfig(), arguments).await;
    let printed = run("install --dry-run").await?;
    ensure!(printed.out.contains("kind: Deployment\n") && printed.notes.is_empty(), "{}", printed.notes);
    ensure!(inventory(&client, OURS).await?.is_empty(), "a dry run changed something");

    let notes = run(INSTALL).await?.notes;
    ensure!(notes.contains("created Deployment istio-system/mainsheet\n"), "{notes}");
    let ours = inventory(&client, OURS).await?;
    ensure!(ours.len() >= DEFINITIONS + 12, "{ours:?}");
    let again = run(INSTALL).await?;
    ensure!(again.notes.is_empty() && again.out.is_empty(), "{again:?}");
    let would = run("install --replicas 3 --dry-run=server").await?.notes;
    ensure!(would == "changed Deployment istio-system/mainsheet (dry run)\n", "{would}");
    ensure!(inventory(&client, OURS).await? == ours, "what was equal, or a dry run, changed something");
    let notes = run("install --replicas 3 --timeout 0").await?.notes;
    ensure!(notes == "changed Deployment istio-system/mainsheet\n", "{notes}");
    Ok(())
}

#[tokio::test]
async fn what_somebody_else_set_is_taken_over_only_when_asked() -> Result<()> {
    let Some((server, client)) = server("what_somebody_else_set_is_taken_over_only_when_asked").await? else {
        return Ok(());
    };
    let run = async |arguments: &str| mainsheet(server.kubeconfig(), arguments).await;
    run(INSTALL).await?;
    let deployments: Api<Deployment> = Api::namespaced(client, "istio-system");
    let patch = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 5}});
    deployments.patch("mainsheet", &PatchParams::apply("somebody").force(), &Patch::Apply(patch)).await?;
    let refusal = run(INSTALL).await.err().context("the conflict was not seen")?.to_string();
    ensure!(
        ["Deployment istio-system/mainsheet", "somebody", "--force-conflicts"]
            .iter()
            .all(|text| refusal.contains(text)),
        "{refusal}"
    );
    run("install --timeout 0 --force-conflicts").await?;
    ensure!(deployments.get("mainsheet").await?.spec.replicas == Some(2));

    let late = run("install --timeout 1 --replicas 4").await.err().context("nothing runs pods here")?.to_string();
    ensure!(late.contains("Deployment istio-system/mainsheet: waited 1 s: no controller has seen it"), "{late}");
    Ok(())
}

#[tokio::test]
async fn nothing_of_ours_is_left_and_all_of_theirs() -> Result<()> {
    let Some((server, client)) = server("nothing_of_ours_is_left_and_all_of_theirs").await? else { return Ok(()) };
    let run = async |arguments: &str| mainsheet(server.kubeconfig(), arguments).await;
    let before = inventory(&client, "").await?;
    run(INSTALL).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "istio-system");
    let mut theirs = ConfigMap::default();
    theirs.metadata.name = Some("theirs".to_owned());
    maps.create(&PostParams::default(), &theirs).await?;

    let notes = run("uninstall").await?.notes;
    ensure!(notes.contains("kept Namespace istio-system: it holds ConfigMap theirs\n"), "{notes}");
    let left = inventory(&client, OURS).await?;
    let definitions = left.keys().filter(|name| name.starts_with("CustomResourceDefinition")).count();
    ensure!(definitions == DEFINITIONS && left.len() == DEFINITIONS + 1, "{left:?}");

    maps.delete("theirs", &DeleteParams::default()).await?;
    let notes = run("uninstall --purge-crds").await?.notes;
    ensure!(notes.contains("removed Namespace istio-system\n"), "{notes}");
    // The API server forgets the kinds a moment later. The namespace is going: to end that is for a controller.
    wait::until("nothing to be left", async || {
        let left = difference(&before, &inventory(&client, "").await?);
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    let again = run("uninstall --purge-crds").await?;
    ensure!(again.notes.is_empty() && again.out.is_empty(), "{again:?}");
    Ok(())
}
