//! Installed into a whole cluster, as the README says: the image of this build, the permissions and the security context of the manifests.

use std::{net::IpAddr, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use integration::{
    client::{self, Call},
    cluster::{Cluster, isolate},
    outside::{self, Program},
    wait,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};

use crate::run::{difference, inventory, mainsheet};

const NAMESPACE: &str = "istio-system";
const HEALTH_PORT: u16 = 8080;
/// The commands of the README.
const INSTALL: &str = "install --image registry.example/mainsheet:1";
const UPGRADE: &str = "install --image registry.example/mainsheet:2";
const UNINSTALL: &str = "uninstall --purge-crds";
/// On a machine that has much else to do.
const STEP_WITHIN: Duration = Duration::from_secs(120);

#[test]
fn it_is_installed_upgraded_and_removed_without_a_trace() -> Result<()> {
    isolate::test("cluster::it_is_installed_upgraded_and_removed_without_a_trace", async || {
        let readme = std::fs::read_to_string(outside::repository().join("README.md"))?;
        for command in [INSTALL, UPGRADE, UNINSTALL] {
            ensure!(
                readme.contains(&format!("\nmainsheet {command} ")),
                "the README does not say: mainsheet {command}"
            );
        }
        let cluster = Cluster::start(2).await?;
        cluster.import_built(&[Program::ControlPlane]).await?;
        let before = inventory(&cluster.client().await?, "").await?;
        install(&cluster).await?;
        read_as_a_user(&cluster).await?;
        upgrade(&cluster).await?;
        lose_a_pod(&cluster).await?;
        uninstall(&cluster, &before).await
    })
}

async fn pods(cluster: &Cluster) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client().await?, NAMESPACE);
    let pods = pods.list(&ListParams::default().labels("app.kubernetes.io/name=mainsheet")).await?.items;
    Ok(pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
}

/// Every replica is ready, says so to everybody, and shows nothing else.
async fn serving(cluster: &Cluster) -> Result<Vec<Pod>> {
    let pods = pods(cluster).await?;
    ensure!(pods.len() == 2, "{} replicas", pods.len());
    for pod in &pods {
        let name = pod.metadata.name.as_deref().context("a pod without a name")?;
        let ip: IpAddr =
            pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()).context("no address")?.parse()?;
        let get = async |path: &str| client::send((ip, HEALTH_PORT).into(), &Call::get("mainsheet", path)).await;
        let ready = get("/readyz").await?;
        ensure!(ready.status == 200 && ready.text() == "ready\n", "{name}: {ready:?}");
        ensure!(get("/debug/configz").await?.status == 404, "{name} shows the mesh");
        let proxied = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}:{HEALTH_PORT}/proxy/readyz");
        ensure!(cluster.kubectl(&["get", "--raw", &proxied]).await? == "ready\n");
        let log = cluster.kubectl(&["--namespace", NAMESPACE, "logs", name]).await?;
        ensure!(log.contains("the cluster of this pod") && !log.contains("forbidden"), "{log}");
    }
    Ok(pods)
}

async fn install(cluster: &Cluster) -> Result<()> {
    let kubeconfig: &Path = cluster.server().kubeconfig();
    let installed = mainsheet(kubeconfig, INSTALL).await;
    let notes = installed.map_err(|error| error.context(cluster.log_tail()))?.notes;
    ensure!(notes.ends_with("Deployment istio-system/mainsheet is available\n"), "{notes}");
    let namespace = Api::<Namespace>::all(cluster.client().await?).get(NAMESPACE).await?;
    let labels = namespace.metadata.labels.unwrap_or_default();
    let enforced = labels.get("pod-security.kubernetes.io/enforce").map(String::as_str);
    ensure!(enforced == Some("restricted"), "{labels:?}");
    let pods = serving(cluster).await?;
    let mut nodes: Vec<_> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
    nodes.sort_unstable();
    ensure!(nodes == ["node1", "node2"], "the replicas are on {nodes:?}");
    let again = mainsheet(kubeconfig, INSTALL).await?.notes;
    ensure!(again.is_empty(), "{again}");
    Ok(())
}

/// Who has the documented rights, and no others, asks every replica through the API server.
async fn read_as_a_user(cluster: &Cluster) -> Result<()> {
    let jane = cluster.server().kubeconfig_for("jane", None)?;
    let mainsheet = async |arguments: &str| mainsheet(&jane, arguments).await;
    let refused = async |arguments: &str, reason: &str| {
        let error = mainsheet(arguments).await.err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(error.contains(reason) && error.contains("docs/PERMISSIONS.md"), "{arguments}: {error}");
        Ok(())
    };
    refused("status", "EndpointSlices of Service istio-system/mainsheet").await?;
    refused("analyze -A", "\"jane\" cannot list").await?;
    let page = std::fs::read_to_string(outside::repository().join("docs/PERMISSIONS.md"))?;
    let role = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).context("no YAML there")?;
    let file = cluster.server().directory().join("analyze.yaml");
    std::fs::write(&file, role)?;
    cluster.apply(&file).await?;
    let bind = "create rolebinding mainsheet-cli-jane --role mainsheet-cli --user jane -n istio-system";
    ensure!(page.contains(bind), "the page does not say: {bind}");
    cluster.kubectl(&bind.split(' ').collect::<Vec<_>>()).await?;
    let bind_everywhere =
        ["create", "clusterrolebinding", "jane", "--clusterrole", "mainsheet-analyze", "--user", "jane"];
    cluster.kubectl(&bind_everywhere).await?;

    let status =
        wait::until_within(STEP_WITHIN, "the certificates", async || mainsheet("status -A -o json").await).await?;
    ensure!(
        status.out == "[]\n" && status.notes == "0 proxies of 2 replicas of istio-system/mainsheet\n",
        "{status:?}"
    );
    ensure!(mainsheet("status").await?.out.starts_with("NAME "));
    let error = mainsheet("proxy-config web.default").await.err().context("a proxy that is not there")?.to_string();
    ensure!(error.contains("404") && error.contains("no such proxy"), "{error}");
    refused("status --service-account default/default", "a token of service account default/default").await?;
    let found = mainsheet("analyze -A --show warning").await?;
    ensure!(found.notes == "no problems in the cluster\n", "{found:?}");

    cluster.kubectl(&["delete", "rolebinding", "mainsheet-cli-jane", "-n", NAMESPACE]).await?;
    cluster.kubectl(&["delete", "clusterrolebinding", "jane"]).await?;
    cluster.kubectl(&["delete", "clusterrole", "mainsheet-analyze"]).await?;
    Ok(())
}

/// At no look are there fewer than two.
async fn upgrade(cluster: &Cluster) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client().await?, NAMESPACE);
    let upgrade = mainsheet(cluster.server().kubeconfig(), UPGRADE);
    let looks = async {
        loop {
            let status = deployments.get("mainsheet").await?.status.unwrap_or_default();
            ensure!(status.available_replicas >= Some(2), "{status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        upgraded = upgrade => upgraded?,
        looked = looks => return looked,
    };
    let settled = wait::until_within(STEP_WITHIN, "the old pods to be gone", async || serving(cluster).await);
    for pod in settled.await? {
        let image = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.as_deref());
        ensure!(image == Some("registry.example/mainsheet:2"), "{image:?}");
    }
    Ok(())
}

async fn lose_a_pod(cluster: &Cluster) -> Result<()> {
    let lost = serving(cluster).await?.swap_remove(0).metadata;
    let api: Api<Pod> = Api::namespaced(cluster.client().await?, NAMESPACE);
    api.delete(lost.name.as_deref().context("a pod without a name")?, &DeleteParams::default().grace_period(0)).await?;
    let back = wait::until_within(STEP_WITHIN, "another pod in its place", async || {
        let pods = serving(cluster).await?;
        ensure!(pods.iter().all(|pod| pod.metadata.uid != lost.uid), "it is still there");
        Ok(())
    });
    back.await?;
    cluster.rolled_out(NAMESPACE, "mainsheet").await
}

async fn uninstall(cluster: &Cluster, before: &std::collections::BTreeMap<String, String>) -> Result<()> {
    let client = cluster.client().await?;
    let notes = mainsheet(cluster.server().kubeconfig(), UNINSTALL).await?.notes;
    ensure!(notes.contains("removed Namespace istio-system\n"), "{notes}");
    wait::until_within(STEP_WITHIN, "nothing to be left", async || {
        let left = difference(before, &inventory(&client, "").await?);
        ensure!(left.is_empty(), "{left:?}");
        ensure!(Api::<Namespace>::all(client.clone()).get_opt(NAMESPACE).await?.is_none(), "the namespace is going");
        Ok(())
    })
    .await
}
