//! The meshes that are measured: services, endpoints, rules and the namespaces that scope them.

use std::{fs, io, path::Path};

use serde_json::{Value, json};

/// A mesh to measure. Every service has two subsets and one route rule with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its letter in tables.
    pub name: &'static str,
    /// Services in all.
    pub services: usize,
    /// Endpoints of each service.
    pub endpoints: usize,
    /// Simulated proxies.
    pub proxies: usize,
    /// Services that one proxy sees: the services of its namespace.
    pub visible: usize,
}

/// 100 services x 10 endpoints, 100 proxies that see all.
pub const S: Shape = Shape { name: "S", services: 100, endpoints: 10, proxies: 100, visible: 100 };
/// 1,000 services x 2, 1,000 proxies that see 50 each.
pub const M: Shape = Shape { name: "M", services: 1000, endpoints: 2, proxies: 1000, visible: 50 };
/// 1,000 services x 10, 2,000 proxies that see 50 each.
pub const L: Shape = Shape { name: "L", services: 1000, endpoints: 10, proxies: 2000, visible: 50 };

/// The port of every service.
pub const PORT: u16 = 8080;

impl Shape {
    /// The shape of this letter.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [S, M, L].into_iter().find(|shape| shape.name.eq_ignore_ascii_case(name))
    }

    /// How many namespaces the services are spread over.
    #[must_use]
    pub fn namespaces(&self) -> usize {
        self.services.div_ceil(self.visible)
    }

    /// The namespace of a service or proxy.
    #[must_use]
    pub fn namespace(&self, index: usize) -> String {
        format!("ns-{}", index % self.namespaces())
    }

    /// The namespace and name of a service.
    #[must_use]
    pub fn service(&self, index: usize) -> (String, String) {
        (self.namespace(index), format!("svc-{index}"))
    }

    /// The node id of a proxy.
    #[must_use]
    pub fn node_id(&self, index: usize) -> String {
        let namespace = self.namespace(index);
        let (a, b) = (index / 250 + 1, index % 250 + 1);
        format!("sidecar~10.200.{a}.{b}~client-{index}.{namespace}~{namespace}.svc.cluster.local")
    }

    /// The service that a load assignment of all its endpoints is of.
    #[must_use]
    pub fn service_of(load_assignment: &str) -> Option<usize> {
        let (_, name) = load_assignment.split_once("||svc-")?;
        name.split('.').next()?.parse().ok()
    }

    /// The proxies that see the services of the namespace of `service`.
    pub fn watching(&self, service: usize) -> impl Iterator<Item = usize> {
        let namespaces = self.namespaces();
        (0..self.proxies).filter(move |proxy| proxy % namespaces == service % namespaces)
    }

    /// How many proxies see the services of the namespace of `service`.
    #[must_use]
    pub fn watchers(&self, service: usize) -> usize {
        self.watching(service).count()
    }

    /// Writes the mesh: a file for the Sidecars, and for each service one for what it is, its pods, its endpoints, its
    /// rule and its routes.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let sidecars = (0..self.namespaces()).map(|index| {
            json!({
                "apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
                "metadata": {"name": "default", "namespace": self.namespace(index)},
                "spec": {"egress": [{"hosts": ["./*"]}]}
            })
        });
        replace(dir, "sidecars.json", &list(sidecars.collect()))?;
        for index in 0..self.services {
            replace(dir, &format!("service-{index}.json"), &list(vec![self.service_object(index)]))?;
            replace(dir, &format!("pods-{index}.json"), &list(self.pods(index)))?;
            self.write_endpoints(dir, index, 0)?;
            self.write_rule(dir, index, 2)?;
            self.write_routes(dir, index, "v1")?;
        }
        Ok(())
    }

    fn service_object(&self, index: usize) -> Value {
        let (namespace, name) = self.service(index);
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "clusterIP": format!("10.96.{}.{}", index / 250, index % 250 + 1),
                "selector": {"app": name},
                "ports": [{"name": "http", "port": PORT, "targetPort": PORT}]
            }
        })
    }

    fn pods(&self, index: usize) -> Vec<Value> {
        let (namespace, name) = self.service(index);
        let pod = |endpoint: usize| {
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": format!("{name}-{endpoint}"), "namespace": namespace,
                    "labels": {"app": name, "version": format!("v{}", endpoint % 2 + 1)}
                },
                "spec": {"containers": [{"name": "app", "image": "app", "ports": [{"containerPort": PORT}]}]}
            })
        };
        (0..self.endpoints).map(pod).collect()
    }

    /// Writes the endpoints of a service; the address of the first one follows `round`, the others stay.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_endpoints(&self, dir: &Path, index: usize, round: usize) -> io::Result<()> {
        let (namespace, name) = self.service(index);
        let endpoint = |endpoint: usize| {
            let host = if endpoint == 0 { round % 200 + 20 } else { endpoint };
            json!({
                "addresses": [format!("10.{}.{}.{host}", 1 + index / 250, index % 250)],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "name": format!("{name}-{endpoint}"), "namespace": namespace}
            })
        };
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-1"), "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name}
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
            "endpoints": (0..self.endpoints).map(endpoint).collect::<Vec<_>>()
        });
        replace(dir, &format!("endpoints-{index}.json"), &list(vec![slice]))
    }

    /// Writes the rule of a service with so many subsets.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_rule(&self, dir: &Path, index: usize, subsets: usize) -> io::Result<()> {
        let (namespace, name) = self.service(index);
        let subset = |n: usize| json!({"name": format!("v{n}"), "labels": {"version": format!("v{n}")}});
        let rule = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"host": name, "subsets": (1..=subsets).map(subset).collect::<Vec<_>>()}
        });
        replace(dir, &format!("rule-{index}.json"), &list(vec![rule]))
    }

    /// Writes the routes of a service; requests get `value` as a header.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_routes(&self, dir: &Path, index: usize, value: &str) -> io::Result<()> {
        let (namespace, name) = self.service(index);
        let routes = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"hosts": [name], "http": [{
                "headers": {"request": {"set": {"x-round": value}}},
                "route": [
                    {"destination": {"host": name, "subset": "v1"}, "weight": 90},
                    {"destination": {"host": name, "subset": "v2"}, "weight": 10}
                ]
            }]}
        });
        replace(dir, &format!("routes-{index}.json"), &list(vec![routes]))
    }

    /// Writes a Node, which no proxy depends on; `label` changes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_node(&self, dir: &Path, label: &str) -> io::Result<()> {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "node-1", "labels": {"example.com/round": label}}
        });
        replace(dir, "node.json", &list(vec![node]))
    }

    /// Writes `slices` further EndpointSlices of 1,000 endpoints each for a service. All are of its first pod, so that
    /// they stand in two load assignments, of about 85 bytes each: that of the service and that of a subset.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_many_endpoints(&self, dir: &Path, index: usize, slices: usize) -> io::Result<()> {
        let (namespace, name) = self.service(index);
        let slice = |slice: usize| {
            let endpoint = |n: usize| {
                json!({
                    "addresses": [format!("10.{}.{}.{}", 100 + slice, n / 250, n % 250)],
                    "targetRef": {"kind": "Pod", "name": format!("{name}-0"), "namespace": namespace}
                })
            };
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("{name}-big-{slice}"), "namespace": namespace,
                    "labels": {"kubernetes.io/service-name": name}
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
                "endpoints": (0..1000).map(endpoint).collect::<Vec<_>>()
            })
        };
        replace(dir, "many-endpoints.json", &list((0..slices).map(slice).collect()))
    }
}

fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Writes beside the file and renames, so that a reader sees the old file or the new one.
fn replace(dir: &Path, name: &str, value: &Value) -> io::Result<()> {
    let hidden = dir.join(format!(".{name}.new"));
    fs::write(&hidden, serde_json::to_vec(value)?)?;
    fs::rename(hidden, dir.join(name))
}
