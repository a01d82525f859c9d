//! From the node that a discovery request carries to a [`ProxyDescription`].

use std::net::IpAddr;

use proto::{
    envoy::config::core::v3::Node,
    google::protobuf::{Struct, Value, ValueKind},
};

use super::{InterceptionMode, ProxyDescription, ProxyKind};
use crate::model::{Labels, Namespace, endpoint::Locality};

/// Longest node id, in bytes.
pub const NODE_ID_LEN_MAX: usize = 1024;
/// Most labels, annotations or addresses that a proxy may claim.
pub const CLAIMS_MAX: usize = 256;
/// Longest text that a proxy may claim, in bytes: longer ones are no label of Kubernetes.
const CLAIM_LEN_MAX: usize = 4096;

/// Why a node is no proxy of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// There is no id.
    #[error("missing node information: the first request of a stream must carry node.id")]
    Missing,
    /// The id is not of four parts.
    #[error("node id `{0}` is not `<type>~<ip>~<pod>.<namespace>~<domain>`")]
    Malformed(String),
    /// The kind of proxy is not served.
    #[error("proxies of type `{0}` are not served: use sidecar or router")]
    Kind(String),
    /// No namespace can be read from the node.
    #[error("node id `{0}` names no namespace")]
    Namespace(String),
}

impl ProxyDescription {
    /// Reads a node: its id and the metadata that Istio's agent writes. Unknown metadata is ignored.
    ///
    /// `PROXY_CONFIG.controlPlaneAuthPolicy: MUTUAL_TLS`, which an agent writes unless it is told to do without, says that
    /// the agent has an identity and serves it over SDS (`default`, `ROOTCA`).
    ///
    /// # Errors
    /// When the id is missing or malformed, or of a kind that is not served.
    pub fn of_node(node: &Node) -> Result<Self, NodeError> {
        if node.id.is_empty() {
            return Err(NodeError::Missing);
        }
        let malformed = || NodeError::Malformed(node.id.chars().take(NODE_ID_LEN_MAX).collect());
        let parts: Vec<&str> = node.id.split('~').collect();
        let &[kind, ip, name, domain] = parts.as_slice() else { return Err(malformed()) };
        if node.id.len() > NODE_ID_LEN_MAX {
            return Err(malformed());
        }
        let metadata = Metadata(node.metadata.as_ref());
        let kind = match kind {
            "sidecar" if metadata.text("GENERATOR") == Some("grpc") => ProxyKind::Grpc,
            "sidecar" => ProxyKind::Sidecar,
            "router" => ProxyKind::Router,
            other => return Err(NodeError::Kind(other.to_owned())),
        };
        // Pod names may hold dots, namespaces may not.
        let (pod, named) = name.rsplit_once('.').unwrap_or((name, ""));
        let of_domain = domain.split('.').next().unwrap_or_default();
        let namespace = metadata.text("NAMESPACE").into_iter().chain([named, of_domain]);
        let namespace = namespace.filter_map(|text| Namespace::parse(text).ok()).next();
        let locality = node.locality.as_ref();
        Ok(Self {
            kind,
            namespace: namespace.ok_or_else(|| NodeError::Namespace(node.id.clone()))?,
            pod: pod.to_owned(),
            labels: metadata.labels("LABELS"),
            annotations: metadata.labels("ANNOTATIONS"),
            locality: locality.map_or_else(Locality::default, |l| Locality {
                region: l.region.clone(),
                zone: l.zone.clone(),
                subzone: l.sub_zone.clone(),
            }),
            node: metadata.text("NODE_NAME").filter(|name| !name.is_empty()).map(str::to_owned),
            network: metadata.text("NETWORK").unwrap_or_default().to_owned(),
            mode: match metadata.text("INTERCEPTION_MODE") {
                Some("NONE") => InterceptionMode::None,
                Some("TPROXY") => InterceptionMode::Tproxy,
                Some(_) | None => InterceptionMode::Redirect,
            },
            addresses: metadata.addresses().unwrap_or_else(|| ip.parse().into_iter().collect()),
            http_proxy_port: metadata.number("HTTP_PROXY_PORT"),
            has_certificates: metadata.option("PROXY_CONFIG", "controlPlaneAuthPolicy") == Some("MUTUAL_TLS"),
        })
    }
}

/// The metadata of a node, whose values an agent writes as strings, and hand-written bootstraps also as numbers.
struct Metadata<'a>(Option<&'a Struct>);

impl<'a> Metadata<'a> {
    fn value(&self, key: &str) -> Option<&'a ValueKind> {
        self.0.and_then(|metadata| metadata.fields.get(key)).and_then(|value| value.kind.as_ref())
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key).and_then(text)
    }

    fn number(&self, key: &str) -> Option<u16> {
        let number = match self.value(key)? {
            ValueKind::StringValue(text) => text.parse().ok(),
            // Formatting a whole number writes it without a fraction, and so parses only what is one.
            ValueKind::NumberValue(number) => number.to_string().parse().ok(),
            ValueKind::NullValue(_) | ValueKind::BoolValue(_) | ValueKind::StructValue(_) | ValueKind::ListValue(_) => {
                None
            }
        };
        number.filter(|number| *number > 0)
    }

    /// A text within an object.
    fn option(&self, key: &str, name: &str) -> Option<&'a str> {
        let Some(ValueKind::StructValue(options)) = self.value(key) else { return None };
        options.fields.get(name)?.kind.as_ref().and_then(text)
    }

    fn labels(&self, key: &str) -> Labels {
        let Some(ValueKind::StructValue(labels)) = self.value(key) else { return Labels::new() };
        let pairs = labels.fields.iter().filter_map(|(key, value)| Some((key, claim(value)?)));
        pairs.take(CLAIMS_MAX).map(|(key, value)| (key.clone(), value.to_owned())).collect()
    }

    fn addresses(&self) -> Option<Vec<IpAddr>> {
        let ips = self.text("INSTANCE_IPS")?;
        Some(ips.split(',').take(CLAIMS_MAX).filter_map(|ip| ip.trim().parse().ok()).collect())
    }
}

fn claim(value: &Value) -> Option<&str> {
    value.kind.as_ref().and_then(text).filter(|text| text.len() <= CLAIM_LEN_MAX)
}

fn text(kind: &ValueKind) -> Option<&str> {
    match kind {
        ValueKind::StringValue(text) => Some(text),
        ValueKind::NullValue(_)
        | ValueKind::NumberValue(_)
        | ValueKind::BoolValue(_)
        | ValueKind::StructValue(_)
        | ValueKind::ListValue(_) => None,
    }
}
