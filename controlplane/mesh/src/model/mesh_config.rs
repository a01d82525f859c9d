//! The mesh's own configuration: ConfigMap `istio`, key `mesh`.

use std::time::Duration;

use super::{
    destination_rule::{LocalityLb, TcpKeepalive},
    name::Namespace,
    object::{Kind, Object, ObjectId, Origin},
    virtual_service::Retries,
    visibility::DefaultExport,
};

/// What holds for the whole mesh. Its `Default` is the mesh without a ConfigMap.
#[derive(Debug, Clone, PartialEq)]
pub struct MeshConfig {
    /// The DNS domain of the cluster.
    pub domain: String,
    /// The trust domain of identities.
    pub trust_domain: String,
    /// Other names of the trust domain.
    pub trust_domain_aliases: Vec<String>,
    /// The namespace whose objects hold for all.
    pub root_namespace: Namespace,
    /// Mutual TLS between workloads that both can, unless rules say otherwise.
    pub enable_auto_mtls: bool,
    /// What happens to requests for unknown hosts.
    pub outbound_traffic_policy: OutboundTrafficPolicy,
    /// How inbound traffic reaches the application.
    pub inbound_traffic_policy: InboundTrafficPolicy,
    /// Where access logs go; empty is nowhere.
    pub access_log_file: String,
    /// The format of access logs; empty is Mainsheet's own.
    pub access_log_format: String,
    /// Text or JSON.
    pub access_log_encoding: AccessLogEncoding,
    /// How long a TCP connect may take.
    pub connect_timeout: Duration,
    /// How often names are resolved.
    pub dns_refresh_rate: Duration,
    /// How long to wait for the first bytes of a sniffed connection; zero waits for ever.
    pub protocol_detection_timeout: Duration,
    /// Who sees services that say nothing.
    pub default_service_export_to: DefaultExport,
    /// Who sees virtual services that say nothing.
    pub default_virtual_service_export_to: DefaultExport,
    /// Who sees destination rules that say nothing.
    pub default_destination_rule_export_to: DefaultExport,
    /// Retries of routes that say nothing; `None` is the built-in policy.
    pub default_http_retry_policy: Option<Retries>,
    /// Locality settings of destinations that say nothing.
    pub locality_lb: LocalityLb,
    /// Keep-alive of upstream connections that say nothing.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// How paths are made equal before they are matched.
    pub path_normalization: PathNormalization,
    /// Upgrade HTTP/1.1 upstream connections to HTTP/2.
    pub h2_upgrade: bool,
    /// Where captured outbound traffic arrives.
    pub proxy_listen_port: u16,
    /// Where captured inbound traffic arrives.
    pub proxy_inbound_listen_port: u16,
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            domain: "cluster.local".into(),
            trust_domain: "cluster.local".into(),
            trust_domain_aliases: Vec::new(),
            root_namespace: Namespace::parse("istio-system").unwrap_or_else(|_| Namespace::none()),
            enable_auto_mtls: true,
            outbound_traffic_policy: OutboundTrafficPolicy::AllowAny,
            inbound_traffic_policy: InboundTrafficPolicy::Passthrough,
            access_log_file: String::new(),
            access_log_format: String::new(),
            access_log_encoding: AccessLogEncoding::Text,
            connect_timeout: Duration::from_secs(10),
            dns_refresh_rate: Duration::from_secs(60),
            protocol_detection_timeout: Duration::ZERO,
            default_service_export_to: DefaultExport::All,
            default_virtual_service_export_to: DefaultExport::All,
            default_destination_rule_export_to: DefaultExport::All,
            default_http_retry_policy: None,
            locality_lb: LocalityLb::default(),
            tcp_keepalive: None,
            path_normalization: PathNormalization::Base,
            h2_upgrade: false,
            proxy_listen_port: 15001,
            proxy_inbound_listen_port: 15006,
        }
    }
}

impl Object<MeshConfig> {
    /// The configuration of a mesh that has none. It has no name, since nobody wrote it.
    #[must_use]
    pub fn built_in() -> Self {
        let id = ObjectId::new(Kind::MeshConfig, Namespace::none(), "");
        Self { id, created: None, generation: None, location: None, spec: MeshConfig::default() }
    }

    /// The object, as what made a resource; nothing for the built-in configuration.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        (!self.id.name.is_empty()).then(|| Origin::whole(&self.id))
    }
}

/// What happens to requests for unknown hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutboundTrafficPolicy {
    /// They go where the caller sent them.
    AllowAny,
    /// They are refused.
    RegistryOnly,
}

/// How inbound traffic reaches the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboundTrafficPolicy {
    /// At the address that the caller used.
    Passthrough,
    /// At 127.0.0.1.
    Localhost,
}

/// How access logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the value of that name")]
pub enum AccessLogEncoding {
    Text,
    Json,
}

/// `pathNormalization.normalization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathNormalization {
    /// Paths stay as they come.
    None,
    /// RFC 3986: dot segments and needless escapes go.
    Base,
    /// And slashes in a row become one.
    MergeSlashes,
    /// And escaped slashes become slashes.
    DecodeAndMergeSlashes,
}
