//! Objects of a small mesh, as users write them.

use std::fmt::Write as _;

/// A Service of namespace `shop` with one HTTP port, and an EndpointSlice with these addresses.
pub(crate) fn service(name: &str, addresses: &[&str]) -> String {
    let mut text = format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  clusterIP: 10.0.0.1
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080, protocol: TCP}}]
endpoints:
"
    );
    for address in addresses {
        let _ = writeln!(text, "- {{addresses: [{address}], conditions: {{ready: true}}}}");
    }
    if addresses.is_empty() {
        text.truncate(text.trim_end().len());
        text.push_str(" []\n");
    }
    text
}

/// A DestinationRule that sets the connect timeout of a service: it changes the cluster and nothing else.
pub(crate) fn rule(name: &str, connect_timeout: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: shop}}
spec:
  host: {name}
  trafficPolicy: {{connectionPool: {{tcp: {{connectTimeout: {connect_timeout}}}}}}}
"
    )
}

/// A VirtualService that sends a service's requests to another, under this prefix.
pub(crate) fn route(name: &str, to: &str, prefix: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}]
  http: [{{match: [{{uri: {{prefix: {prefix}}}}}], route: [{{destination: {{host: {to}}}}}]}}]
"
    )
}

/// A Pod of namespace `shop` with these labels.
pub(crate) fn pod(name: &str, labels: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{{labels}}}}}
spec: {{containers: [{{name: app}}]}}
status: {{phase: Running, podIP: 10.1.0.1}}
"
    )
}

/// A Sidecar that lets the pods with this label see these hosts only.
pub(crate) fn sidecar(label: &str, host: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: narrow, namespace: shop}}
spec:
  workloadSelector: {{labels: {{{label}}}}}
  egress: [{{hosts: [\"./{host}\"]}}]
"
    )
}

/// The name of a service's outbound cluster, and of its endpoints.
pub(crate) fn cluster(service: &str) -> String {
    format!("outbound|80||{service}.shop.svc.cluster.local")
}
