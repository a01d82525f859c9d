//! What correct objects become.

use std::time::Duration;

use mesh::model::{
    Hostname, Kind, Severity,
    destination_rule::{Algorithm, HashKey, HashTable},
    mesh_config::{AccessLogEncoding, OutboundTrafficPolicy},
    service::{Resolution, TargetPort},
    service_entry::{EntryAddress, EntryResolution},
    sidecar::ImportNamespace,
    virtual_service::{AbortStatus, HttpAction, Millionths},
};

use super::*;

fn config(text: &str) -> Config {
    let mut reading = reading(text);
    let errors: Vec<_> = reading.problems.iter().filter(|p| p.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    match reading.items.remove(0).content {
        Some(Declared::Config(config)) => *config,
        other => panic!("{other:?}"),
    }
}

macro_rules! spec {
    ($kind:ident, $text:expr) => {
        match config($text) {
            Config::$kind(object) => object.spec,
            other => panic!("{other:?}"),
        }
    };
}

fn istio(kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1beta1\nkind: {kind}\nmetadata: {{name: a, namespace: shop}}\nspec:\n{spec}"
    )
}

#[test]
fn a_virtual_service_with_all_that_a_rule_can_say() {
    let text = istio(
        "VirtualService",
        r#"
  hosts: [reviews, api.example.com]
  gateways: [mesh]
  exportTo: [., other]
  http:
  - name: all
    match:
    - uri: {prefix: /a}
      headers: {User-Agent: {regex: ".*iPhone.*"}, x-there: {}}
      sourceLabels: {app: web}
      port: 80
    route:
    - destination: {host: reviews, subset: v1, port: {number: 9080}}
      weight: 90
      headers: {request: {set: {X-A: b}}}
    - destination: {host: reviews.far.svc.cluster.local}
      weight: 10
    timeout: 0.5s
    retries: {attempts: 3, perTryTimeout: 2s, retryOn: "5xx,503,connect-failure"}
    fault:
      delay: {percent: 100, fixedDelay: 2s}
      abort: {grpcStatus: UNAVAILABLE, percentage: {value: 0.1}}
    mirror: {host: reviews, subset: v2}
    mirrorPercentage: {value: 12.5}
    corsPolicy: {allowOrigins: [{exact: https://a}], maxAge: 1500ms, unmatchedPreflights: IGNORE}
    rewrite: {uri: /b}
"#,
    );
    let spec = spec!(VirtualService, &text);
    let names: Vec<&str> = spec.hosts.iter().map(Hostname::as_str).collect();
    assert_eq!(names, ["reviews.shop.svc.cluster.local", "api.example.com"]);
    assert!(spec.in_mesh());
    let rule = &spec.http[0];
    let HttpAction::Route(route) = &rule.action else { panic!("{rule:?}") };
    assert_eq!(route[0].destination.host.as_str(), "reviews.shop.svc.cluster.local");
    assert_eq!((route[0].destination.port, route[0].weight, route[1].weight), (Some(9080), 90, 10));
    assert_eq!(route[0].headers.request.set, [("x-a".to_owned(), "b".to_owned())]);
    assert_eq!(rule.matches[0].headers[0].0, "user-agent");
    assert_eq!(rule.timeout, Some(Duration::from_millis(500)));
    let retries = rule.retries.as_ref().unwrap();
    assert_eq!(
        (retries.retry_on.join(" "), retries.retriable_status_codes.clone()),
        ("5xx connect-failure".into(), vec![503])
    );
    let fault = rule.fault.as_ref().unwrap();
    let (delay, abort) = (fault.delay.as_ref().unwrap(), fault.abort.as_ref().unwrap());
    assert_eq!((delay.duration, delay.share), (Duration::from_secs(2), Millionths(1_000_000)));
    assert_eq!((abort.status, abort.share), (AbortStatus::Grpc(14), Millionths(1000)));
    assert_eq!(rule.mirrors[0].share, Millionths(125_000));
    assert_eq!(rule.cors.as_ref().unwrap().forward_unmatched_preflights, Some(false));
}

#[test]
fn every_version_of_the_api_is_read() {
    for version in ["v1", "v1beta1", "v1alpha3"] {
        let text = istio("DestinationRule", "  {host: a}").replace("v1beta1", version);
        assert_eq!(spec!(DestinationRule, &text).host.as_str(), "a.shop.svc.cluster.local");
    }
}

#[test]
fn a_destination_rule_with_all_its_blocks() {
    let text = istio(
        "DestinationRule",
        r"
  host: reviews
  trafficPolicy:
    loadBalancer: {consistentHash: {httpCookie: {name: user, ttl: 0s}}}
    connectionPool: {tcp: {maxConnections: 100, connectTimeout: 30ms}, http: {http1MaxPendingRequests: 1, maxRetries: 0}}
    outlierDetection: {consecutive5xxErrors: 7, interval: 5m, maxEjectionPercent: 100}
    portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: ROUND_ROBIN}}]
  subsets:
  - {name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
",
    );
    let spec = spec!(DestinationRule, &text);
    let settings = &spec.policy.settings;
    let Algorithm::ConsistentHash(hash) = &settings.load_balancer.as_ref().unwrap().algorithm else { panic!() };
    assert_eq!(hash.table, HashTable::Ring { size_min: 1024 });
    assert!(matches!(&hash.key, HashKey::Cookie { ttl: Some(Duration::ZERO), .. }));
    let pool = settings.connection_pool.as_ref().unwrap();
    assert_eq!((pool.max_connections, pool.http1_max_pending_requests, pool.max_retries), (Some(100), Some(1), None));
    assert_eq!(settings.outlier_detection.as_ref().unwrap().interval, Some(Duration::from_secs(300)));
    assert_eq!(spec.policy.ports[0].0, 80);
    assert_eq!(spec.subsets[0].policy.settings.load_balancer.as_ref().unwrap().algorithm, Algorithm::Random);
}

#[test]
fn service_entries_workload_entries_and_sidecars() {
    let text = istio(
        "ServiceEntry",
        "  {hosts: [api.example.com], ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}], resolution: DNS,\n   \
         endpoints: [{address: a.example.com, ports: {tls: 9443}, locality: r/z, weight: 3}, {address: 10.0.0.1}]}",
    );
    let spec = spec!(ServiceEntry, &text);
    assert_eq!((spec.resolution, spec.mesh_internal, spec.ports[0].target), (EntryResolution::Dns, false, Some(8443)));
    assert!(matches!(&spec.endpoints[0].address, Some(EntryAddress::Dns(name)) if name.as_str() == "a.example.com"));
    assert_eq!(spec.endpoints[0].locality.zone, "z");
    let entry = spec!(WorkloadEntry, &istio("WorkloadEntry", "  {address: 'unix:///run/a.sock', labels: {a: b}}"));
    assert_eq!(entry.address, Some(EntryAddress::Pipe("/run/a.sock".into())));
    let sidecar = spec!(
        Sidecar,
        &istio(
            "Sidecar",
            "  {egress: [{hosts: ['./*', 'far/a.far.svc.cluster.local', '~/*']}], outboundTrafficPolicy: {}}"
        )
    );
    assert_eq!(sidecar.outbound_traffic_policy, Some(OutboundTrafficPolicy::RegistryOnly));
    let imports = sidecar.egress.unwrap();
    assert_eq!((&imports[0].namespace, &imports[2].namespace), (&ImportNamespace::Own, &ImportNamespace::None));
}

#[test]
fn services_of_kubernetes() {
    let of = |spec: &str| {
        spec!(
            Service,
            &format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: a, creationTimestamp: null}}\nspec: {spec}\nstatus: {{x: 1}}\n"
            )
        )
    };
    let plain = of(
        "{clusterIP: 10.0.0.1, selector: {app: a}, ports: [{port: 80, name: http, targetPort: web}, {port: 53, name: d, protocol: UDP}, {port: 53, name: e}]}",
    );
    assert_eq!(plain.hostname.as_str(), "a.default.svc.cluster.local");
    assert_eq!(plain.ports[0].target, TargetPort::Named("web".into()));
    assert_eq!(plain.ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>(), ["http", "e"]);
    assert_eq!(of("{clusterIP: None}").resolution, Resolution::Headless);
    let alias = of("{type: ExternalName, externalName: api.example.com.}");
    assert_eq!(alias.resolution, Resolution::Alias(Hostname::parse("api.example.com").unwrap()));
}

#[test]
fn a_slice_names_pods_of_its_own_namespace_only() {
    let of = |reference: &str| {
        let reading = reading(&format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: a, namespace: here, labels: {{kubernetes.io/service-name: web}}}}\n\
             addressType: IPv4\nports: [{{port: 80}}]\nendpoints: [{{addresses: [10.0.0.1], targetRef: {{kind: Pod, name: web-1{reference}}}}}]\n"
        ));
        let Some(Declared::Endpoints(slice)) = &reading.items[0].content else { panic!("{:?}", reading.problems) };
        let problems: Vec<_> = reading.problems.iter().map(ToString::to_string).collect();
        (slice.spec.endpoints[0].pod.clone(), problems.join("\n"))
    };
    assert_eq!(of(""), (Some("web-1".to_owned()), String::new()));
    assert_eq!(of(", namespace: here"), (Some("web-1".to_owned()), String::new()));
    let (pod, problem) = of(", namespace: there");
    assert_eq!(pod, None);
    assert!(problem.starts_with("warning: EndpointSlice here/a: endpoints[0].targetRef.namespace: "), "{problem}");
    assert!(problem.contains("(name a Pod of namespace here)"), "{problem}");
}

#[test]
fn endpoint_slices_pods_and_nodes() {
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a, labels: {kubernetes.io/service-name: web}}\n\
        addressType: IPv4\nports: [{name: http, port: 80, protocol: TCP}]\nendpoints:\n- addresses: [10.0.0.1]\n  \
        targetRef: {kind: Pod, name: web-1}\n- {addresses: [10.0.0.2], conditions: {ready: false, terminating: true, serving: true}}\n";
    let reading = reading(slice);
    assert_eq!(reading.problems, []);
    let Some(Declared::Endpoints(object)) = &reading.items[0].content else { panic!() };
    assert_eq!(object.spec.service, "web");
    assert!(object.spec.endpoints[0].ready && object.spec.endpoints[0].serving);
    assert!(
        !object.spec.endpoints[1].ready && object.spec.endpoints[1].serving && object.spec.endpoints[1].terminating
    );
    assert_eq!(object.spec.endpoints[0].pod.as_deref(), Some("web-1"));
    let pod = spec!(
        Pod,
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web-1\n  annotations: {sidecar.istio.io/inject: 'true', other: x}\n\
         spec:\n  serviceAccountName: web\n  containers: [{name: a, image: x, resources: {limits: {cpu: 1, memory: 1Gi}}, ports: [{name: http, containerPort: 80}]}]\n\
         status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}\n"
    );
    assert_eq!((pod.service_account.as_str(), pod.addresses.len(), pod.annotations.len()), ("web", 2, 1));
    assert_eq!((pod.named_ports.get("http"), pod.workload.as_str()), (Some(&80), "web-1"));
    let node = spec!(
        Node,
        "apiVersion: v1\nkind: Node\nmetadata: {name: n, labels: {topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z}}\n"
    );
    assert_eq!((node.locality.region.as_str(), node.locality.zone.as_str()), ("r", "z"));
}

#[test]
fn the_configuration_of_the_mesh_is_yaml_inside_a_text() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  meshNetworks: ''\n  mesh: |-\n    \
        outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n    accessLogEncoding: JSON\n    connectTimeout: 3s\n    \
        defaultConfig: {concurrency: 2}\n    trustdomain: x\n    rootNamespace: roots\n";
    let config = spec!(MeshConfig, text);
    assert_eq!(config.outbound_traffic_policy, OutboundTrafficPolicy::RegistryOnly);
    assert_eq!(config.access_log_encoding, AccessLogEncoding::Json);
    assert_eq!((config.connect_timeout, config.root_namespace.as_str()), (Duration::from_secs(3), "roots"));
    assert_eq!(
        problems(text),
        [
            "warning: ConfigMap istio-system/istio: data.meshNetworks: not in force yet: only the key mesh is read [a.yaml:5:3]",
            "warning: ConfigMap istio-system/istio: data.mesh.trustdomain: unknown field (did you mean trustDomain?) [a.yaml:11:5]",
            "warning: ConfigMap istio-system/istio: data.mesh.defaultConfig: not in force yet: it has no effect [a.yaml:10:5]",
        ]
    );
    let broken = text.replace("3s", "3");
    assert!(
        problems(&broken).iter().any(|p| p.contains("data.mesh.connectTimeout") && p.ends_with("[a.yaml:9:5]")),
        "{:?}",
        problems(&broken)
    );
    assert!(reading(&broken).items[0].content.is_none());
}

#[test]
fn a_list_is_its_items_and_one_of_them_may_be_broken() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n\
        - {apiVersion: v1, kind: Service, metadata: {name: b}, spec: {ports: 1}}\n- {apiVersion: v1, kind: Namespace, metadata: {name: c}}\n";
    let reading = reading(text);
    let shown: Vec<(String, bool)> =
        reading.items.iter().map(|item| (item.id.to_string(), item.content.is_some())).collect();
    assert_eq!(
        shown,
        [("Namespace a".into(), true), ("Service default/b".into(), false), ("Namespace c".into(), true)]
    );
}

#[test]
fn kinds_that_are_not_compiled_are_accepted_and_said() {
    let said = |version: &str, kind: &str| {
        let found =
            reading(&format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{any: thing}}\n"));
        assert!(found.items.is_empty() && !found.unreadable);
        found.problems.last().unwrap().to_string()
    };
    assert_eq!(said("apps/v1", "Deployment"), "info: Deployment a: has no part in the mesh [a.yaml:1:1]");
    assert!(said("v1", "ConfigMap").starts_with("info"));
    let misplaced = problems("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\n");
    assert!(misplaced[0].starts_with("warning") && misplaced[0].contains("did you mean namespace istio-system?"));
    assert!(said("networking.istio.io/v1", "Gateway").starts_with("warning: Gateway a: is not in force yet"));
    assert!(said("security.istio.io/v1", "AuthorizationPolicy").contains("NOT enforced yet: every request is allowed"));
    assert!(said("gateway.networking.k8s.io/v1", "HTTPRoute").contains("not in force yet"));
    assert!(
        said("networking.istio.io/v1", "VirtualServce")
            .contains("did you mean VirtualService of networking.istio.io/v1?")
    );
    assert!(said("v1", "Deployment").contains("did you mean Deployment of apps/v1?"));
    assert!(said("networking.istio.io/v1alpha1", "VirtualService").contains("did you mean VirtualService of"));
    assert_eq!(kind::treatment("example.com/v1", "Thing"), Treatment::Unknown);
    assert_eq!(kind::treatment("v1", "Service"), Treatment::Compiled(Kind::Service));
}

#[test]
fn kinds_that_are_not_in_force_are_held_against_their_schemas() {
    let head = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\n";
    let found = reading(&format!("{head}spec: {{rules: [{{from: [{{source: {{namespace: [b]}}}}]}}]}}\n"));
    assert!(found.items.is_empty() && !found.unreadable);
    let found: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "error: AuthorizationPolicy a: spec.rules[0].from[0].source.namespace: unknown field (did you mean \
             spec.rules[0].from[0].source.namespaces?) [a.yaml:4:34]",
            "warning: AuthorizationPolicy a: is NOT enforced yet: every request is allowed [a.yaml:1:1]",
        ]
    );
    let rest = "spec: {selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: a}]}\n";
    let found = problems(&format!("{head}{rest}"));
    assert!(
        found[0].contains("spec.targetRefs: excludes selector, which is given too (keep one of the two)"),
        "{found:?}"
    );
    assert_eq!(problems(head).len(), 1, "a policy without a spec allows nothing, and means it");
}

#[test]
fn a_version_that_is_not_served_is_none() {
    let text = "apiVersion: networking.istio.io/v1\nkind: EnvoyFilter\nmetadata: {name: a}\nspec: {}\n";
    assert!(problems(text)[0].contains("did you mean EnvoyFilter of networking.istio.io/v1alpha3?"));
}

#[test]
fn every_rule_of_the_schemas_is_in_the_table() {
    // A rule that is not found by its expression would be left out of what files are held against, in silence.
    let schemas: Vec<String> = crate::source::istio::ALL
        .iter()
        .map(|kind| {
            kind.spec_json(
                &mut schemars::generate::SchemaSettings::draft07()
                    .with(|s| s.inline_subschemas = true)
                    .into_generator(),
            )
            .to_string()
        })
        .collect();
    for rule in crate::source::wire::rule::TABLE {
        let cel = serde_json::to_string(rule.cel).unwrap();
        assert!(schemas.iter().any(|schema| schema.contains(&cel)), "no schema has {cel}");
        assert!(std::ptr::eq(crate::source::wire::rule::find(rule.cel).unwrap(), rule), "two rules have {cel}");
    }
}

#[test]
fn every_sample_is_read_without_an_error_or_warning() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/samples");
    let bookinfo = crate::source::load(&[format!("{samples}/bookinfo").into()], &Settings::default());
    assert!(!bookinfo.changes.is_empty());
    assert_eq!(*bookinfo.problems, []);
    for folder in ["tasks", "seeds"] {
        for entry in std::fs::read_dir(format!("{samples}/{folder}")).unwrap() {
            let path = entry.unwrap().path();
            let update = crate::source::load(std::slice::from_ref(&path), &Settings::default());
            let bad: Vec<_> = update.problems.iter().filter(|p| p.severity != Severity::Info).collect();
            assert!(bad.is_empty(), "{bad:?}");
        }
    }
}
