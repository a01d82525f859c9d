//! The YAML of the objects that scenarios are made of.

use std::net::SocketAddr;

/// A Service of namespace `default` with one port, which selects the pods whose label `app` is its name.
#[must_use]
pub fn service(name: &str, port: u16, port_name: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default, labels: {{app: {name}}}}}
spec:
  selector: {{app: {name}}}
  ports:
  - {{name: {port_name}, port: {port}, targetPort: {port}}}
"
    )
}

/// A Pod of namespace `default` that runs `app` in `version`.
#[must_use]
pub fn pod(name: &str, app: &str, version: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: default
  labels: {{app: {app}, version: {version}}}
spec:
  serviceAccountName: default
  containers:
  - {{name: app, image: none}}
"
    )
}

/// An EndpointSlice that says: the pod answers for the Service at this address. Each pod has its own slice, since ports belong to the slice and
/// pods that share a loopback address differ by port.
#[must_use]
pub fn endpoint_slice(service: &str, port_name: &str, pod: &str, address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {service}-{pod}
  namespace: default
  labels: {{kubernetes.io/service-name: {service}}}
addressType: IPv4
ports:
- {{name: {port_name}, port: {port}, protocol: TCP}}
endpoints:
- addresses: [{ip}]
  conditions: {{ready: true, serving: true, terminating: false}}
  targetRef: {{kind: Pod, name: {pod}, namespace: default}}
"
    )
}

/// A DestinationRule with a subset for each version, named like it; `policy` is the flow-style YAML of its trafficPolicy, or empty.
#[must_use]
pub fn destination_rule(host: &str, versions: &[&str], policy: &str) -> String {
    let subsets: String =
        versions.iter().map(|version| format!("  - {{name: {version}, labels: {{version: {version}}}}}\n")).collect();
    let subsets = if subsets.is_empty() { subsets } else { format!("  subsets:\n{subsets}") };
    let policy = if policy.is_empty() { String::new() } else { format!("  trafficPolicy: {policy}\n") };
    format!(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {host}, namespace: default}}
spec:
  host: {host}
{policy}{subsets}"
    )
}

/// A VirtualService for one host with these http rules, each a list item in YAML, not indented.
#[must_use]
pub fn virtual_service(host: &str, rules: &[&str]) -> String {
    let indented = |rule: &&str| -> String {
        let rule = rule.trim_end().lines().enumerate();
        rule.map(|(number, line)| format!("  {} {line}\n", if number == 0 { "-" } else { " " })).collect()
    };
    let rules: String = rules.iter().map(indented).collect();
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {host}, namespace: default}}
spec:
  hosts: [{host}]
  http:
{rules}"
    )
}

/// The flow-style YAML of weighted destinations: subsets of one host.
#[must_use]
pub fn weighted(host: &str, weights: &[(&str, u32)]) -> String {
    let legs: Vec<_> = weights
        .iter()
        .map(|(subset, weight)| format!("{{destination: {{host: {host}, subset: {subset}}}, weight: {weight}}}"))
        .collect();
    format!("route: [{}]", legs.join(", "))
}

/// Several objects as one file.
#[must_use]
pub fn documents(objects: impl IntoIterator<Item = String>) -> String {
    objects.into_iter().collect::<Vec<_>>().join("---\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_indented_as_items_of_the_list() {
        let rule = format!("match:\n- uri: {{prefix: /a}}\n{}", weighted("reviews", &[("v1", 90), ("v2", 10)]));
        let text = virtual_service("reviews", &[&rule, "route: [{destination: {host: reviews}}]"]);
        let http = text.split_once("  http:\n").unwrap().1;
        assert_eq!(
            http,
            "  - match:
    - uri: {prefix: /a}
    route: [{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v2}, weight: 10}]
  - route: [{destination: {host: reviews}}]
"
        );
    }

    #[test]
    fn a_rule_without_policy_or_subsets_has_neither_key() {
        assert!(destination_rule("reviews", &[], "").ends_with("spec:\n  host: reviews\n"));
        assert!(destination_rule("reviews", &["v1"], "{loadBalancer: {simple: RANDOM}}").ends_with(
            "  host: reviews\n  trafficPolicy: {loadBalancer: {simple: RANDOM}}\n  subsets:\n  - {name: v1, labels: {version: v1}}\n"
        ));
    }
}
