//! A cluster of an API server alone, a control plane that follows it, and what both hold.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use integration::{
    client,
    cluster::ApiServer,
    control_plane::ControlPlane,
    outside::{self, Program},
    ports::Loopback,
    wait,
};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The namespace of everything that has one.
pub(crate) const NAMESPACE: &str = "default";
/// A proxy that no Pod is of.
pub(crate) const NODE: &str = "sidecar~10.1.9.9~client.default~default.svc.cluster.local";

pub(crate) struct World {
    pub(crate) control_plane: ControlPlane,
    pub(crate) server: ApiServer,
    pub(crate) home: Loopback,
    pub(crate) directory: TempDir,
    pub(crate) client: Client,
}

impl World {
    /// An API server, and a control plane that is not started yet; `None` when the test `name` is skipped.
    pub(crate) async fn prepare(name: &str, more: &[Program]) -> Result<Option<Self>> {
        Self::prepare_on(name, more, ApiServer::start()).await
    }

    /// The same, with an API server that is started in another way.
    pub(crate) async fn prepare_on(
        name: &str,
        more: &[Program],
        server: impl Future<Output = Result<ApiServer>>,
    ) -> Result<Option<Self>> {
        let needed = [&[Program::Etcd, Program::KubeApiServer, Program::ControlPlane], more].concat();
        if !outside::all_present(name, &needed)? {
            return Ok(None);
        }
        let server = server.await?;
        let directory = tempfile::Builder::new().prefix("mainsheet-").tempdir()?;
        let home = Loopback::claim()?;
        let control_plane = control_plane(server.kubeconfig(), &home, directory.path());
        let client = server.client().await?;
        let world = Self { control_plane, server, home, directory, client };
        // Which a controller would make, and without which there are no Pods.
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}});
        world.apply(account).await?;
        Ok(Some(world))
    }

    /// The control plane speaks to the API server as this user from now on.
    pub(crate) fn become_user(&mut self, user: &str) -> Result<()> {
        let kubeconfig = self.server.kubeconfig_for(user, None)?;
        self.control_plane = control_plane(&kubeconfig, &self.home, self.directory.path());
        Ok(())
    }

    /// One more control plane on the same API server, not started yet, with the address that it listens at.
    pub(crate) fn replica(&self) -> Result<(ControlPlane, Loopback)> {
        let home = Loopback::claim()?;
        let directory = self.directory.path().join(home.ip().to_string());
        std::fs::create_dir(&directory)?;
        Ok((control_plane(self.server.kubeconfig(), &home, &directory), home))
    }

    /// Defines kinds of Istio's networking group.
    pub(crate) async fn define(&self, kinds: &[&str]) -> Result<()> {
        for kind in kinds {
            let plural = kind.to_lowercase();
            let plural = plural.strip_suffix('y').map_or_else(|| format!("{plural}s"), |stem| format!("{stem}ies"));
            self.apply(networking(kind, &plural)).await?;
        }
        Ok(())
    }

    /// Makes the object what `object` says, whether it is there or not.
    pub(crate) async fn apply(&self, object: Value) -> Result<()> {
        // A kind whose definition has only just come is not served everywhere at once.
        let title = format!("{} {} to be accepted", object["kind"], object["metadata"]["name"]);
        wait::until(&title, async || self.try_to_apply(&object).await).await
    }

    /// The same, once.
    pub(crate) async fn try_to_apply(&self, object: &Value) -> Result<()> {
        let (api, name) = self.api(object)?;
        api.patch(&name, &PatchParams::apply("tests").force(), &Patch::Apply(object)).await?;
        Ok(())
    }

    /// Makes an object that is not there; tried once.
    pub(crate) async fn create(&self, object: &Value) -> Result<()> {
        let (api, _) = self.api(object)?;
        api.create(&PostParams::default(), &serde_json::from_value(object.clone())?).await?;
        Ok(())
    }

    pub(crate) async fn delete(&self, object: Value) -> Result<()> {
        let (api, name) = self.api(&object)?;
        api.delete(&name, &DeleteParams::default().grace_period(0)).await.with_context(|| format!("delete {name}"))?;
        Ok(())
    }

    fn api(&self, object: &Value) -> Result<(Api<DynamicObject>, String)> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let version = text("/apiVersion").context("no apiVersion")?;
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("/kind").context("no kind")?));
        let name = text("/metadata/name").context("no name")?.to_owned();
        let api = match text("/metadata/namespace") {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        };
        Ok((api, name))
    }

    /// What the control plane holds, as soon as `is_so` says that it is right.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Held) -> bool) -> Result<Held> {
        wait::until(what, async || {
            let held = self.held().await?;
            ensure!(is_so(&held), "{held:#?}");
            Ok(held)
        })
        .await
    }

    pub(crate) async fn held(&self) -> Result<Held> {
        let page = async |name: &str| self.control_plane.json(&format!("/debug/{name}")).await;
        Ok(Held {
            objects: page("configz").await?,
            services: page("registryz").await?,
            endpoints: page("endpointz").await?,
            problems: page("problems").await?,
        })
    }

    /// Waits until the log of the control plane has this text.
    pub(crate) async fn until_logged(&self, text: &str, limit: Duration) -> Result<()> {
        let log = self.directory.path().join("mainsheet.log");
        wait::until_within(limit, &format!("{text:?} in the log"), async || {
            let log = std::fs::read_to_string(&log)?;
            ensure!(log.contains(text), "{log}");
            Ok(())
        })
        .await
    }

    pub(crate) async fn is_ready(&self) -> bool {
        client::fetch(self.control_plane.http(), "/readyz").await.is_ok()
    }
}

pub(crate) fn control_plane(kubeconfig: &Path, home: &Loopback, directory: &Path) -> ControlPlane {
    ControlPlane::of_cluster(kubeconfig, home.at(15_010), home.at(15_014), directory)
}

/// What the control plane holds, from its debug pages.
#[derive(Debug)]
pub(crate) struct Held {
    objects: Value,
    services: Value,
    endpoints: Value,
    problems: Value,
}

impl Held {
    /// The generation of an object in force: `Some(None)` for kinds that have none.
    pub(crate) fn generation(&self, kind: &str, name: &str) -> Option<Option<i64>> {
        let of = |object: &&Value| object["kind"] == kind && object["name"] == name;
        self.objects.as_array()?.iter().find(of).map(|object| object["generation"].as_i64())
    }

    pub(crate) fn has(&self, kind: &str, name: &str) -> bool {
        self.generation(kind, name).is_some()
    }

    /// The number of the first port of a service.
    pub(crate) fn port(&self, host: &str) -> Option<u64> {
        let services = self.services.as_array()?;
        services.iter().find(|service| service["hostname"] == host)?.pointer("/ports/0/port")?.as_u64()
    }

    /// The endpoints of a service, each as `ADDRESS VERSION`, the version being a label of its pod.
    pub(crate) fn endpoints(&self, service: &str) -> Vec<String> {
        let host = host(service);
        let of = |services: &Vec<Value>| services.iter().find(|of| of["service"] == host.as_str()).cloned();
        let found = self.endpoints.as_array().and_then(of).unwrap_or_default();
        let list = found["endpoints"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        list.iter().map(|of| format!("{} {}", text(&of["address"]), text(&of["labels"]["version"]))).collect()
    }

    /// Every problem as `CODE OBJECT FIELD`.
    pub(crate) fn problems(&self) -> Vec<String> {
        let text = |of: &Value, field: &str| of[field].as_str().unwrap_or_default().to_owned();
        let list = self.problems.as_array().cloned().unwrap_or_default();
        list.iter().map(|of| ["code", "object", "field"].map(|field| text(of, field)).join(" ")).collect()
    }
}

pub(crate) fn host(service: &str) -> String {
    format!("{service}.{NAMESPACE}.svc.cluster.local")
}

/// The definition of a kind of Istio, without its schema.
pub(crate) fn definition(group: &str, kind: &str, plural: &str, version: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "scope": "Namespaced",
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

pub(crate) fn networking(kind: &str, plural: &str) -> Value {
    definition("networking.istio.io", kind, plural, "v1")
}

/// An object of Istio's networking kinds.
pub(crate) fn istio(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    })
}

pub(crate) fn route(name: &str, host: &str) -> Value {
    istio("VirtualService", name, json!({"hosts": [name], "http": [{"route": [{"destination": {"host": host}}]}]}))
}

pub(crate) fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "http", "port": port}]},
    })
}

pub(crate) fn pod(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"version": version}},
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{"name": "app", "image": "app", "ports": [{"name": "http", "containerPort": 8080}]}],
        },
    })
}

/// A slice of a service with these endpoints, each with the pod at it.
pub(crate) fn slice(service: &str, endpoints: &[(&str, &str)]) -> Value {
    let endpoint = |(address, pod): &(&str, &str)| {
        json!({
            "addresses": [address], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": NAMESPACE},
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-1"), "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

/// A slice with so many endpoints of no Pod, the first of which is the one of this number.
pub(crate) fn bare_slice(service: &str, suffix: &str, first: usize, count: usize) -> Value {
    let address = |at: usize| format!("10.{}.{}.{}", 64 + at / 62_500, at / 250 % 250, at % 250 + 1);
    let endpoints: Vec<_> =
        (first..first + count).map(|at| json!({"addresses": [address(at)], "conditions": {"ready": true}})).collect();
    let mut made = slice(service, &[]);
    made["metadata"]["name"] = format!("{service}-{suffix}").into();
    made["endpoints"] = endpoints.into();
    made
}
