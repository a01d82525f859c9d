//! The mesh's own configuration: ConfigMap `istio`, key `mesh`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    DurationText,
    http_route::HttpRetry,
    sidecar::OutboundTrafficPolicy,
    traffic_policy::{H2UpgradePolicy, LocalityLbSetting, TcpKeepalive},
};

/// What holds for the whole mesh.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeshConfig {
    /// The trust domain of identities.
    pub trust_domain: Option<String>,
    /// Other names of the trust domain.
    #[serde(default)]
    pub trust_domain_aliases: Vec<String>,
    /// The namespace whose objects hold for all.
    pub root_namespace: Option<String>,
    /// Mutual TLS between workloads that both can, unless rules say otherwise.
    pub enable_auto_mtls: Option<bool>,
    /// What happens to requests for unknown hosts.
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    /// How requests from outside reach the application.
    pub inbound_traffic_policy: Option<InboundTrafficPolicy>,
    /// Where access logs go, as `/dev/stdout`; nowhere, when not given.
    pub access_log_file: Option<String>,
    /// The format of access logs.
    pub access_log_format: Option<String>,
    /// Text or JSON.
    pub access_log_encoding: Option<AccessLogEncoding>,
    /// How long a TCP connect may take.
    pub connect_timeout: Option<DurationText>,
    /// How often names are resolved.
    pub dns_refresh_rate: Option<DurationText>,
    /// How long to wait for the first bytes of a connection on a port without a protocol; `0s` waits for ever.
    pub protocol_detection_timeout: Option<DurationText>,
    /// Who can see services that say nothing.
    #[serde(default)]
    pub default_service_export_to: Vec<String>,
    /// Who can see virtual services that say nothing.
    #[serde(default)]
    pub default_virtual_service_export_to: Vec<String>,
    /// Who can see destination rules that say nothing.
    #[serde(default)]
    pub default_destination_rule_export_to: Vec<String>,
    /// Retries of routes that say nothing.
    pub default_http_retry_policy: Option<HttpRetry>,
    /// How traffic of destinations that say nothing is spread over localities.
    pub locality_lb_setting: Option<LocalityLbSetting>,
    /// Keep-alive of connections that say nothing.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// How paths are made equal before they are compared.
    pub path_normalization: Option<PathNormalization>,
    /// Whether HTTP/1.1 is carried over HTTP/2.
    pub h2_upgrade_policy: Option<H2UpgradePolicy>,
    /// Where captured connections to the outside arrive.
    pub proxy_listen_port: Option<u32>,
    /// Where captured connections from outside arrive.
    pub proxy_inbound_listen_port: Option<u32>,
    /// Options that are known, but not acted on yet.
    #[serde(flatten)]
    pub known: KnownOptions,
}

/// Options that Mainsheet does not act on yet, so that only their names matter.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownOptions {
    /// Where the control plane reads configuration from.
    pub config_sources: Option<Value>,
    /// Defaults of proxies.
    pub default_config: Option<Value>,
    /// Providers that telemetry uses when it names none.
    pub default_providers: Option<Value>,
    /// Providers of tracing, metrics, logs and authorization.
    pub extension_providers: Option<Value>,
    /// Namespaces that the control plane looks at.
    pub discovery_selectors: Option<Value>,
    /// TLS between workloads of the mesh.
    #[serde(rename = "meshMTLS")]
    pub mesh_mtls_upper: Option<Value>,
    /// TLS between workloads of the mesh.
    pub mesh_mtls: Option<Value>,
    /// TLS of everything else.
    pub tls_defaults: Option<Value>,
    /// Settings of single services.
    pub service_settings: Option<Value>,
    /// Further authorities to trust.
    pub ca_certificates: Option<Value>,
    /// Certificates that the control plane makes for services.
    pub certificates: Option<Value>,
    /// Signers of certificates.
    pub certificate_signers: Option<Value>,
    /// An outside authority.
    pub ca: Option<Value>,
    /// The class of Ingress objects that are honoured.
    pub ingress_class: Option<Value>,
    /// The service of the gateway for Ingress.
    pub ingress_service: Option<Value>,
    /// Which Ingress objects are honoured.
    pub ingress_controller_mode: Option<Value>,
    /// The pods of the gateway for Ingress.
    pub ingress_selector: Option<Value>,
    /// Whether the agent joins the metrics of application and proxy.
    pub enable_prometheus_merge: Option<Value>,
    /// Whether requests are traced.
    pub enable_tracing: Option<Value>,
    /// Whether access logs go to a service.
    pub enable_envoy_access_log_service: Option<Value>,
    /// Whether connections that no listener takes are logged.
    pub disable_envoy_listener_log: Option<Value>,
    /// Has no meaning.
    pub dns_refresh_rate_tcp: Option<Value>,
    /// The name of clusters in statistics.
    pub outbound_cluster_stat_name: Option<Value>,
    /// The name of inbound clusters in statistics.
    pub inbound_cluster_stat_name: Option<Value>,
    /// Whether clients check certificates by default.
    pub verify_certificate_at_client: Option<Value>,
    /// The port of the HTTP proxy of each proxy.
    pub proxy_http_port: Option<Value>,
    /// Has no meaning any more.
    pub thrift_config: Option<Value>,
    /// The policy of destinations that have none.
    pub default_traffic_policy: Option<Value>,
    /// Zone-aware routing of destinations that say nothing.
    pub zone_aware_lb_setting: Option<Value>,
    /// Who can see service entries.
    pub service_entry_visibility: Option<Value>,
    /// How long an HBONE connection may be idle.
    pub hbone_idle_timeout: Option<Value>,
    /// Scopes of services over clusters.
    pub service_scope_configs: Option<Value>,
    /// Has no meaning.
    pub host_aliases: Option<Value>,
    /// Has no meaning any more.
    pub report_batch_max_entries: Option<Value>,
    /// Has no meaning any more.
    pub report_batch_max_time: Option<Value>,
    /// Has no meaning any more.
    pub mixer_check_server: Option<Value>,
    /// Has no meaning any more.
    pub mixer_report_server: Option<Value>,
    /// Has no meaning any more.
    pub disable_policy_checks: Option<Value>,
    /// Has no meaning any more.
    pub disable_mixer_http_reports: Option<Value>,
    /// Has no meaning any more.
    pub policy_check_fail_open: Option<Value>,
    /// Has no meaning any more.
    pub enable_client_side_policy_check: Option<Value>,
    /// Has no meaning any more.
    pub disable_report_batch: Option<Value>,
    /// Has no meaning any more.
    pub sidecar_to_telemetry_session_affinity: Option<Value>,
    /// Has no meaning any more.
    pub sds_uds_path: Option<Value>,
    /// Has no meaning any more.
    pub sds_refresh_delay: Option<Value>,
    /// Has no meaning any more.
    pub enable_sds_token_mount: Option<Value>,
    /// Has no meaning any more.
    pub sds_use_k8s_sa_jwt: Option<Value>,
    /// Has no meaning any more.
    pub auth_policy: Option<Value>,
    /// Has no meaning any more.
    pub rds_refresh_delay: Option<Value>,
}

impl KnownOptions {
    /// The names of those that are given.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        let known = [
            ("configSources", &self.config_sources),
            ("defaultConfig", &self.default_config),
            ("defaultProviders", &self.default_providers),
            ("extensionProviders", &self.extension_providers),
            ("discoverySelectors", &self.discovery_selectors),
            ("meshMTLS", &self.mesh_mtls_upper),
            ("meshMtls", &self.mesh_mtls),
            ("tlsDefaults", &self.tls_defaults),
            ("serviceSettings", &self.service_settings),
            ("caCertificates", &self.ca_certificates),
            ("certificates", &self.certificates),
            ("certificateSigners", &self.certificate_signers),
            ("ca", &self.ca),
            ("ingressClass", &self.ingress_class),
            ("ingressService", &self.ingress_service),
            ("ingressControllerMode", &self.ingress_controller_mode),
            ("ingressSelector", &self.ingress_selector),
            ("enablePrometheusMerge", &self.enable_prometheus_merge),
            ("enableTracing", &self.enable_tracing),
            ("enableEnvoyAccessLogService", &self.enable_envoy_access_log_service),
            ("disableEnvoyListenerLog", &self.disable_envoy_listener_log),
            ("dnsRefreshRateTcp", &self.dns_refresh_rate_tcp),
            ("outboundClusterStatName", &self.outbound_cluster_stat_name),
            ("inboundClusterStatName", &self.inbound_cluster_stat_name),
            ("verifyCertificateAtClient", &self.verify_certificate_at_client),
            ("proxyHttpPort", &self.proxy_http_port),
            ("thriftConfig", &self.thrift_config),
            ("defaultTrafficPolicy", &self.default_traffic_policy),
            ("zoneAwareLbSetting", &self.zone_aware_lb_setting),
            ("serviceEntryVisibility", &self.service_entry_visibility),
            ("hboneIdleTimeout", &self.hbone_idle_timeout),
            ("serviceScopeConfigs", &self.service_scope_configs),
            ("hostAliases", &self.host_aliases),
            ("reportBatchMaxEntries", &self.report_batch_max_entries),
            ("reportBatchMaxTime", &self.report_batch_max_time),
            ("mixerCheckServer", &self.mixer_check_server),
            ("mixerReportServer", &self.mixer_report_server),
            ("disablePolicyChecks", &self.disable_policy_checks),
            ("disableMixerHttpReports", &self.disable_mixer_http_reports),
            ("policyCheckFailOpen", &self.policy_check_fail_open),
            ("enableClientSidePolicyCheck", &self.enable_client_side_policy_check),
            ("disableReportBatch", &self.disable_report_batch),
            ("sidecarToTelemetrySessionAffinity", &self.sidecar_to_telemetry_session_affinity),
            ("sdsUdsPath", &self.sds_uds_path),
            ("sdsRefreshDelay", &self.sds_refresh_delay),
            ("enableSdsTokenMount", &self.enable_sds_token_mount),
            ("sdsUseK8sSaJwt", &self.sds_use_k8s_sa_jwt),
            ("authPolicy", &self.auth_policy),
            ("rdsRefreshDelay", &self.rds_refresh_delay),
        ];
        known.into_iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name).collect()
    }
}

/// How requests from outside reach the application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InboundTrafficPolicy {
    /// At which address.
    pub mode: Option<InboundMode>,
}

/// At which address requests from outside reach the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InboundMode {
    /// At the address that the caller used.
    Passthrough,
    /// At 127.0.0.1.
    Localhost,
}

/// How access logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccessLogEncoding {
    /// As text.
    Text,
    /// As JSON.
    Json,
}

/// How paths are made equal before they are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathNormalization {
    /// How much.
    pub normalization: Option<Normalization>,
}

/// How much paths are made equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Normalization {
    /// As `BASE`.
    Default,
    /// Not at all.
    None,
    /// Dot segments and needless escapes go, as RFC 3986 says.
    Base,
    /// And slashes in a row become one.
    MergeSlashes,
    /// And escaped slashes become slashes.
    DecodeAndMergeSlashes,
}
