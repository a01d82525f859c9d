//! The mesh's own configuration.

use std::time::Duration;

use mesh::model::{
    code,
    mesh_config::{AccessLogEncoding, InboundTrafficPolicy, MeshConfig, PathNormalization},
};

use super::{Conversion, traffic_policy::h2_upgrade, values::MILLISECOND};
use crate::source::{path::Path, wire::mesh_config as wire};

/// Longest format of access logs, in bytes.
const FORMAT_LEN_MAX: usize = 64 * 1024;
/// Most other names of the trust domain: each makes every identity that is expected longer by one.
const TRUST_DOMAIN_ALIASES_MAX: usize = 32;

impl Conversion<'_> {
    /// Converts the configuration at `path`: what it does not say is as without one.
    pub fn mesh_config(&mut self, config: wire::MeshConfig, path: Path<'_>) -> MeshConfig {
        let default = MeshConfig { domain: self.settings.domain.clone(), ..MeshConfig::default() };
        let wire::MeshConfig {
            trust_domain,
            trust_domain_aliases,
            root_namespace,
            enable_auto_mtls,
            outbound_traffic_policy,
            inbound_traffic_policy,
            access_log_file,
            access_log_format,
            access_log_encoding,
            connect_timeout,
            dns_refresh_rate,
            protocol_detection_timeout,
            default_service_export_to,
            default_virtual_service_export_to,
            default_destination_rule_export_to,
            default_http_retry_policy,
            locality_lb_setting,
            tcp_keepalive,
            path_normalization,
            h2_upgrade_policy,
            proxy_listen_port,
            proxy_inbound_listen_port,
            known,
        } = config;
        for field in known.given() {
            self.not_in_force(path.field(field), "it has no effect");
        }
        let aliases_path = path.field("trustDomainAliases");
        self.limit(trust_domain_aliases.len(), TRUST_DOMAIN_ALIASES_MAX, aliases_path);
        if access_log_format.as_ref().is_some_and(|format| format.len() > FORMAT_LEN_MAX) {
            self.error(code::LIMIT, path.field("accessLogFormat"), format!("at most {FORMAT_LEN_MAX} bytes"), "");
        }
        MeshConfig {
            trust_domain: self.trust_domain(trust_domain, path.field("trustDomain")).unwrap_or(default.trust_domain),
            trust_domain_aliases: trust_domain_aliases
                .into_iter()
                .enumerate()
                .filter_map(|(place, alias)| self.trust_domain(Some(alias), aliases_path.index(place)))
                .collect(),
            root_namespace: root_namespace
                .filter(|name| !name.is_empty())
                .and_then(|name| self.namespace(&name, path.field("rootNamespace")))
                .unwrap_or_else(|| self.settings.system_namespace.clone()),
            enable_auto_mtls: enable_auto_mtls.unwrap_or(default.enable_auto_mtls),
            outbound_traffic_policy: outbound_traffic_policy
                .filter(|policy| policy.mode.is_some())
                .map_or(default.outbound_traffic_policy, |policy| {
                    self.outbound_policy(policy, path.field("outboundTrafficPolicy"))
                }),
            inbound_traffic_policy: match inbound_traffic_policy.and_then(|policy| policy.mode) {
                None | Some(wire::InboundMode::Passthrough) => InboundTrafficPolicy::Passthrough,
                Some(wire::InboundMode::Localhost) => InboundTrafficPolicy::Localhost,
            },
            access_log_file: access_log_file.unwrap_or_default(),
            access_log_format: access_log_format.unwrap_or_default(),
            access_log_encoding: match access_log_encoding {
                None | Some(wire::AccessLogEncoding::Text) => AccessLogEncoding::Text,
                Some(wire::AccessLogEncoding::Json) => AccessLogEncoding::Json,
            },
            connect_timeout: self
                .duration(connect_timeout.as_ref(), MILLISECOND, path.field("connectTimeout"))
                .unwrap_or(default.connect_timeout),
            dns_refresh_rate: self
                .duration(dns_refresh_rate.as_ref(), MILLISECOND, path.field("dnsRefreshRate"))
                .unwrap_or(default.dns_refresh_rate),
            protocol_detection_timeout: self
                .duration(protocol_detection_timeout.as_ref(), Duration::ZERO, path.field("protocolDetectionTimeout"))
                .unwrap_or(default.protocol_detection_timeout),
            default_service_export_to: self
                .default_export(&default_service_export_to, path.field("defaultServiceExportTo")),
            default_virtual_service_export_to: self
                .default_export(&default_virtual_service_export_to, path.field("defaultVirtualServiceExportTo")),
            default_destination_rule_export_to: self
                .default_export(&default_destination_rule_export_to, path.field("defaultDestinationRuleExportTo")),
            default_http_retry_policy: default_http_retry_policy
                .map(|policy| self.retries(policy, path.field("defaultHttpRetryPolicy"))),
            locality_lb: locality_lb_setting
                .map(|setting| self.locality_lb(setting, path.field("localityLbSetting")))
                .unwrap_or_default(),
            tcp_keepalive: tcp_keepalive.map(|value| self.tcp_keepalive(value, path.field("tcpKeepalive"))),
            path_normalization: normalization(path_normalization),
            h2_upgrade: h2_upgrade(h2_upgrade_policy).unwrap_or(default.h2_upgrade),
            proxy_listen_port: self
                .listen_port(proxy_listen_port, path.field("proxyListenPort"))
                .unwrap_or(default.proxy_listen_port),
            proxy_inbound_listen_port: self
                .listen_port(proxy_inbound_listen_port, path.field("proxyInboundListenPort"))
                .unwrap_or(default.proxy_inbound_listen_port),
            domain: default.domain,
        }
    }

    fn listen_port(&mut self, number: Option<u32>, path: Path<'_>) -> Option<u16> {
        self.port(number.filter(|number| *number > 0)?, path)
    }

    /// As the SPIFFE specification has it: lower-case letters, digits, `.`, `-` and `_`, at most 255 bytes.
    fn trust_domain(&mut self, text: Option<String>, path: Path<'_>) -> Option<String> {
        let text = text.filter(|text| !text.is_empty())?;
        let valid = text.len() <= 255
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'));
        if !valid {
            let reason = format!("{text:?} is not a trust domain");
            self.error(code::BAD_NAME, path, reason, "use lower-case letters, digits, `.`, `-` and `_`");
        }
        Some(text)
    }
}

fn normalization(value: Option<wire::PathNormalization>) -> PathNormalization {
    match value.and_then(|wire::PathNormalization { normalization }| normalization) {
        None | Some(wire::Normalization::Default | wire::Normalization::Base) => PathNormalization::Base,
        Some(wire::Normalization::None) => PathNormalization::None,
        Some(wire::Normalization::MergeSlashes) => PathNormalization::MergeSlashes,
        Some(wire::Normalization::DecodeAndMergeSlashes) => PathNormalization::DecodeAndMergeSlashes,
    }
}
