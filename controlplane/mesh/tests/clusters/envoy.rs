//! The real Envoy takes every cluster: `--mode validate`, with the clusters made static.

use std::{
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
use proto::envoy::config::{
    bootstrap::v3::bootstrap::StaticResources,
    cluster::v3::{
        Cluster,
        cluster::{ClusterDiscoveryType, DiscoveryType},
    },
    endpoint::v3::ClusterLoadAssignment,
};

use super::{
    oracle::Oracle,
    strategy::{Files, World, world},
};

/// Worlds that are tried, and how many of them one start of Envoy takes.
const WORLDS: usize = 240;
const WORLDS_AT_ONCE: usize = 60;

/// A certificate and key, where there is a tool to make them.
fn files(oracle: &Oracle) -> Files {
    let (certificate, key) = (oracle.directory.join("cert.pem"), oracle.directory.join("key.pem"));
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

/// The clusters, made static.
fn held(clusters: &[Cluster]) -> StaticResources {
    StaticResources { clusters: clusters.to_vec(), ..StaticResources::default() }
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
    let strategy = world(files(&oracle));
    let worlds: Vec<World> = (0..WORLDS).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    for (batch, worlds) in worlds.chunks(WORLDS_AT_ONCE).enumerate() {
        let numbered = (batch * WORLDS_AT_ONCE..).zip(worlds);
        let clusters: Vec<Cluster> = numbered.flat_map(|(number, world)| compiled(number, world)).collect();
        oracle.accepts(&clusters, held);
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
            oracle.accepts(&fixed.into_iter().map(|compiled| compiled.message).collect::<Vec<_>>(), held);
        }
    }
}
