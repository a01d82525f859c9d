//! The real Envoy as a judge: `--mode validate` of resources made static.

use std::{
    ffi::OsString,
    fmt::Debug,
    path::{Path, PathBuf},
    process::Command,
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
    },
    text,
};

/// Envoy itself, and a place for files.
pub(crate) struct Oracle {
    envoy: OsString,
    pub(crate) directory: PathBuf,
}

impl Oracle {
    /// `None`, and a word on why, where there is no Envoy.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let Some(envoy) = std::env::var_os("MAINSHEET_ENVOY").filter(|path| !path.is_empty()) else {
            assert!(std::env::var_os("MAINSHEET_REQUIRE_ENVOY").is_none(), "MAINSHEET_ENVOY does not name an Envoy");
            eprintln!("skipped: {test}: MAINSHEET_ENVOY does not name an Envoy");
            return None;
        };
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        std::fs::create_dir_all(&directory).unwrap();
        Some(Self { envoy, directory })
    }

    /// What Envoy says of a bootstrap with these resources.
    pub(crate) fn judge(&self, resources: StaticResources) -> Result<(), String> {
        let path = self.directory.join("bootstrap.json");
        std::fs::write(&path, bootstrap(resources)).unwrap();
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

    /// Fails with a resource that Envoy refuses, or for which it says that something is deprecated; `held` makes some of
    /// them static.
    pub(crate) fn accepts<T: Debug>(&self, all: &[T], held: impl Fn(&[T]) -> StaticResources) {
        let Err(said) = self.judge(held(all)) else { return };
        let (mut refused, mut said) = (all, said);
        while let [_, _, ..] = refused {
            let (left, right) = refused.split_at(refused.len() / 2);
            (refused, said) = match (self.judge(held(left)), self.judge(held(right))) {
                (Err(said), _) => (left, said),
                (Ok(()), Err(said)) => (right, said),
                (Ok(()), Ok(())) => panic!("refused together, though the halves are accepted: {said}\n{refused:#?}"),
            };
        }
        panic!("refused: {said}\n{refused:#?}");
    }
}

/// A bootstrap with these resources, as JSON; what they ask for comes from a control plane that is never asked.
pub(crate) fn bootstrap(mut resources: StaticResources) -> String {
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
    let nowhere = |name: &str| Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        ..Cluster::default()
    };
    // The control plane, and the agent that serves certificates.
    resources.clusters.extend([nowhere("xds"), nowhere("sds-grpc")]);
    let bootstrap = Bootstrap {
        node: Some(Node { id: "test".to_owned(), cluster: "test".to_owned(), ..Node::default() }),
        static_resources: Some(resources),
        dynamic_resources: Some(DynamicResources { ads_config: Some(ads), ..DynamicResources::default() }),
        ..Bootstrap::default()
    };
    let bytes = bootstrap.encode_to_vec().into();
    text::to_json("type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap", &bytes).unwrap().to_string()
}
