//! The real Envoy takes every cluster: `--mode validate`, with the clusters made static.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use mesh::compile::{
    cluster::{self, InboundInput},
    endpoint,
    viewpoint::Interception,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use prost::Message;
use proto::{
    envoy::config::{
        bootstrap::v3::{
            Bootstrap,
            bootstrap::{DynamicResources, StaticResources},
        },
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType},
        },
        core::v3::{
            ApiConfigSource, ApiVersion, GrpcService, Node,
            api_config_source::ApiType,
            grpc_service::{EnvoyGrpc, TargetSpecifier},
        },
        endpoint::v3::ClusterLoadAssignment,
    },
    text,
};

use super::strategy::{Files, World, world};

/// Worlds that are tried, and how many of them one start of Envoy takes.
const WORLDS: usize = 240;
const WORLDS_AT_ONCE: usize = 60;

/// Envoy itself, and files to work with.
struct Oracle {
    envoy: OsString,
    directory: PathBuf,
}

impl Oracle {
    /// `None`, and a word on why, where there is no Envoy.
    fn find(test: &str) -> Option<Self> {
        let Some(envoy) = std::env::var_os("MAINSHEET_ENVOY").filter(|path| !path.is_empty()) else {
            assert!(std::env::var_os("MAINSHEET_REQUIRE_ENVOY").is_none(), "MAINSHEET_ENVOY does not name an Envoy");
            eprintln!("skipped: {test}: MAINSHEET_ENVOY does not name an Envoy");
            return None;
        };
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        std::fs::create_dir_all(&directory).unwrap();
        Some(Self { envoy, directory })
    }

    /// What Envoy says of a bootstrap with these clusters.
    fn judge(&self, clusters: &[Cluster]) -> Result<(), String> {
        let path = self.directory.join("bootstrap.json");
        let bytes = bootstrap(clusters).encode_to_vec().into();
        let json = text::to_json("type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap", &bytes).unwrap();
        std::fs::write(&path, json.to_string()).unwrap();
        let output = Command::new(&self.envoy)
            .args(["--mode", "validate", "--disable-hot-restart", "-l", "warning", "-c"])
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let deprecated = said.lines().find(|line| line.contains("deprecated"));
        match (output.status.success(), deprecated) {
            (true, None) => Ok(()),
            (_, Some(line)) => Err(line.to_owned()),
            (false, None) => Err(said),
        }
    }

    /// Fails with a cluster that Envoy refuses, or for which it says that something is deprecated.
    fn accepts(&self, clusters: &[Cluster]) {
        let Err(said) = self.judge(clusters) else { return };
        let (mut refused, mut said) = (clusters, said);
        while let [_, _, ..] = refused {
            let (left, right) = refused.split_at(refused.len() / 2);
            (refused, said) = match (self.judge(left), self.judge(right)) {
                (Err(said), _) => (left, said),
                (Ok(()), Err(said)) => (right, said),
                (Ok(()), Ok(())) => panic!("refused together, though the halves are accepted: {said}\n{refused:#?}"),
            };
        }
        panic!("refused: {said}\n{refused:#?}");
    }

    /// A certificate and key, where there is a tool to make them.
    fn files(&self) -> Files {
        let (certificate, key) = (self.directory.join("cert.pem"), self.directory.join("key.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=test", "-addext", "subjectAltName=DNS:a.example.com", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .is_ok_and(|output| output.status.success());
        let text = |path: PathBuf| made.then(|| path.to_string_lossy().into_owned());
        if !made {
            eprintln!("skipped: TLS settings: openssl is not installed");
        }
        let system_roots = Path::new("/etc/ssl/certs/ca-certificates.crt").exists();
        Files { certificate: text(certificate), key: text(key), system_roots }
    }
}

fn bootstrap(clusters: &[Cluster]) -> Bootstrap {
    let ads = ApiConfigSource {
        api_type: ApiType::DeltaGrpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        grpc_services: vec![GrpcService {
            target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
                cluster_name: "xds".to_owned(),
                ..EnvoyGrpc::default()
            })),
            ..GrpcService::default()
        }],
        ..ApiConfigSource::default()
    };
    let xds = Cluster {
        name: "xds".to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        ..Cluster::default()
    };
    Bootstrap {
        node: Some(Node { id: "test".to_owned(), cluster: "test".to_owned(), ..Node::default() }),
        static_resources: Some(StaticResources {
            clusters: std::iter::once(xds).chain(clusters.iter().cloned()).collect(),
            ..StaticResources::default()
        }),
        dynamic_resources: Some(DynamicResources { ads_config: Some(ads), ..DynamicResources::default() }),
        ..Bootstrap::default()
    }
}

/// A cluster that carries an assignment, so that Envoy looks at it.
fn carrying(assignment: ClusterLoadAssignment) -> Cluster {
    Cluster {
        name: format!("assignment of {}", assignment.cluster_name),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        load_assignment: Some(assignment),
        ..Cluster::default()
    }
}

/// All that is compiled for a world, under names that no other world has.
fn compiled(number: usize, world: &World) -> Vec<Cluster> {
    let world = World { for_grpc: false, ..world.clone() };
    let outbound = cluster::outbound(&world.outbound()).into_iter().map(|compiled| compiled.message);
    let assignments = endpoint::assignments(&world.assignments()).into_iter().map(|a| carrying(a.message));
    let interceptions = [Interception::Redirect, Interception::Tproxy, Interception::None(None)];
    let input = world.outbound();
    let inbound = interceptions.into_iter().filter_map(|interception| {
        let input = InboundInput {
            port: 8080,
            services: vec![(input.service.clone(), input.rule.clone())],
            ingress: None,
            interception,
            ipv6: true,
            config: input.config.clone(),
        };
        let mut cluster = cluster::inbound(&input)?.message;
        cluster.name = format!("{} {interception:?}", cluster.name);
        Some(cluster)
    });
    let renamed = |mut cluster: Cluster| {
        cluster.name = format!("{number} {}", cluster.name);
        cluster
    };
    outbound.chain(assignments).chain(inbound).map(renamed).collect()
}

#[test]
fn envoy_takes_every_cluster_of_any_service_and_rule() {
    let Some(oracle) = Oracle::find("any_cluster") else { return };
    let mut runner = TestRunner::deterministic();
    let strategy = world(oracle.files());
    let worlds: Vec<World> = (0..WORLDS).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    for (batch, worlds) in worlds.chunks(WORLDS_AT_ONCE).enumerate() {
        let numbered = (batch * WORLDS_AT_ONCE..).zip(worlds);
        let clusters: Vec<Cluster> = numbered.flat_map(|(number, world)| compiled(number, world)).collect();
        oracle.accepts(&clusters);
    }
}

#[test]
fn envoy_takes_the_fixed_clusters() {
    let Some(oracle) = Oracle::find("fixed_clusters") else { return };
    let mut runner = TestRunner::deterministic();
    for _ in 0..10 {
        let world = world(Files::default()).new_tree(&mut runner).unwrap().current();
        for interception in [Interception::Redirect, Interception::Tproxy, Interception::None(None)] {
            let fixed = cluster::fixed(&world.config(), interception, true);
            oracle.accepts(&fixed.into_iter().map(|compiled| compiled.message).collect::<Vec<_>>());
        }
    }
}
