//! A whole cluster: real nodes, pods, Services and DNS.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use integration::{
    client::{self, Call},
    cluster::{
        APP_IMAGE, Cluster, isolate, kubeconfig,
        standing::{self, State},
    },
    outside::Program,
    process::Process,
    wait,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Node, Pod, Service},
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const PORT: u16 = 8080;
/// On a machine that has much else to do.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Two pods on two nodes, and a Service in front of them.
async fn deploy(cluster: &Cluster) -> Result<Service> {
    let client = cluster.client().await?;
    let labels = json!({"app": "web"});
    let spread = json!({"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": labels}});
    let pod = json!({"topologySpreadConstraints": [spread], "containers": [container("v1")]});
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }))?;
    Api::namespaced(client.clone(), "default").create(&PostParams::default(), &deployment).await?;
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": PORT}]},
    }))?;
    let service = Api::namespaced(client, "default").create(&PostParams::default(), &service).await?;
    cluster.rolled_out("default", "web").await?;
    Ok(service)
}

fn container(version: &str) -> Value {
    json!({
        "name": "app",
        "image": APP_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["serve", "--name", "web", "--version", version],
        "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
    })
}

#[test]
fn two_nodes_run_what_a_deployment_says() -> Result<()> {
    isolate::test("two_nodes_run_what_a_deployment_says", async || {
        let begun = Instant::now();
        let cluster = Cluster::start(2).await?;
        println!("{}two nodes were ready after {:.1} s", isolate::NOTE, begun.elapsed().as_secs_f32());
        let service = deploy(&cluster).await?;
        pods_answer_everywhere(&cluster, &service).await?;
        roll(&cluster).await
    })
}

/// By the address of a pod, by that of the Service from outside and from another pod, and by name.
async fn pods_answer_everywhere(cluster: &Cluster, service: &Service) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client().await?, "default");
    let pods = pods.list(&ListParams::default().labels("app=web")).await?.items;
    let nodes: Vec<_> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
    ensure!(nodes.contains(&"node1") && nodes.contains(&"node2"), "pods are on {nodes:?}");
    for pod in &pods {
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("a pod without an address")?;
        let answer = client::send((ip.parse::<std::net::IpAddr>()?, PORT).into(), &Call::get("web", "/")).await?;
        ensure!(answer.header("x-version") == "v1");
    }
    let ip = service.spec.as_ref().and_then(|spec| spec.cluster_ip.clone()).context("a Service without an address")?;
    let address = (ip.parse::<std::net::IpAddr>()?, 80).into();
    wait::until("the Service to answer", async || client::send(address, &Call::get("web", "/")).await).await?;
    for pod in &pods {
        let name = pod.metadata.name.as_deref().context("a pod without a name")?;
        for url in
            [format!("http://{ip}/"), "http://web.default.svc.cluster.local/".to_owned(), "http://web/".to_owned()]
        {
            let said = cluster.kubectl(&["exec", name, "--", "/app", "get", &url]).await?;
            ensure!(said == "web v1\n", "{url} from {name}: {said}");
        }
    }
    Ok(())
}

/// A new version replaces the old one.
async fn roll(cluster: &Cluster) -> Result<()> {
    let client = cluster.client().await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
    let patch = json!({"spec": {"template": {"spec": {"containers": [container("v2")]}}}});
    deployments.patch("web", &PatchParams::default(), &Patch::Strategic(patch)).await?;
    cluster.rolled_out("default", "web").await?;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let name = wait::until("the old pods to be gone", async || {
        let pods = pods.list(&ListParams::default().labels("app=web")).await?.items;
        ensure!(pods.len() == 2, "there are {}", pods.len());
        pods.into_iter().find_map(|pod| pod.metadata.name).context("a pod without a name")
    })
    .await?;
    // Endpoints follow the pods a moment later.
    wait::until("the new version alone to answer", async || {
        for _ in 0..8 {
            let said = cluster.kubectl(&["exec", &name, "--", "/app", "get", "http://web/"]).await?;
            ensure!(said == "web v2\n", "{said}");
        }
        Ok(())
    })
    .await
}

/// Seen from outside, where a person is: the API server answers while it stands, and SIGKILL leaves nothing.
#[tokio::test]
async fn a_killed_cluster_leaves_nothing() -> Result<()> {
    if let Err(unable) = isolate::able() {
        return isolate::skip("a_killed_cluster_leaves_nothing", unable);
    }
    let directory = tempfile::tempdir()?;
    let state = State::new(directory.path());
    let mut command = Command::new(Program::Cluster.find()?);
    command.args(["run", "--nodes", "1", "--state"]).arg(directory.path());
    let mut cluster = Process::start("cluster", &mut command, &state.log())?;
    let ready = wait::until_within(READY_WITHIN, "the cluster to be ready", async || {
        cluster.check_alive()?;
        Ok(std::fs::read_to_string(state.kubeconfig())?)
    });
    let client = kubeconfig::client(&ready.await?).await?;
    ensure!(Api::<Node>::all(client).list(&ListParams::default()).await?.items.len() == 1);
    let kept_in = state.kept_in()?;
    ensure!(standing::remains(&kept_in)?.len() > 5, "the check sees too little");
    cluster.kill();
    wait::until("nothing to be left", async || {
        let left = standing::remains(&kept_in)?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}
