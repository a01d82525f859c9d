//! Who a proxy is: the node id in four parts, and the node of the xDS protocol.

use std::{fmt, net::IpAddr};

use serde_json::{Map, Value, json};

/// Longest node id, in bytes.
const NODE_ID_LEN_MAX: usize = 1024;

/// `TYPE~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeId {
    /// As it was given.
    text: String,
    /// The address of the pod; may be left empty when `INSTANCE_IPS` is given.
    pub(super) ip: Option<IpAddr>,
    /// The name of the pod.
    pub(super) pod: String,
    /// Its namespace.
    pub(super) namespace: String,
}

impl NodeId {
    /// Parses a node id; the error says which part is wrong and how it should look.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        const SHAPE: &str = "write TYPE~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN, \
                             as in sidecar~127.0.0.2~reviews-v1.default~default.svc.cluster.local";
        if text.len() > NODE_ID_LEN_MAX {
            return Err(format!("longer than {NODE_ID_LEN_MAX} bytes; {SHAPE}"));
        }
        if text.contains(char::is_control) {
            return Err(format!("has control characters; {SHAPE}"));
        }
        let parts: Vec<&str> = text.split('~').collect();
        let &[kind, ip, workload, domain] = parts.as_slice() else {
            return Err(format!("{} parts between `~`, not 4; {SHAPE}", parts.len()));
        };
        if !["sidecar", "router", "waypoint"].contains(&kind) {
            return Err(format!("`{kind}` is not a type of proxy (sidecar, router, waypoint); {SHAPE}"));
        }
        let ip = match ip {
            "" => None,
            ip => Some(ip.parse().map_err(|_| format!("`{ip}` is not an IP address; {SHAPE}"))?),
        };
        let (pod, namespace) =
            workload.rsplit_once('.').ok_or_else(|| format!("`{workload}` has no namespace; {SHAPE}"))?;
        if pod.is_empty() || namespace.is_empty() {
            return Err(format!("`{workload}` is not POD.NAMESPACE; {SHAPE}"));
        }
        if domain.split('.').next() != Some(namespace) {
            return Err(format!("`{domain}` does not begin with the pod's namespace, `{namespace}`; {SHAPE}"));
        }
        Ok(Self { text: text.to_owned(), ip, pod: pod.to_owned(), namespace: namespace.to_owned() })
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Parses the name of a group of proxies.
pub(super) fn cluster(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > NODE_ID_LEN_MAX || text.contains(char::is_control) {
        return Err(format!(
            "must have 1 to {NODE_ID_LEN_MAX} bytes and no control characters, as in reviews.default; leave it out for \
             the default"
        ));
    }
    Ok(text.to_owned())
}

/// Where a proxy runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Locality {
    region: String,
    zone: String,
    subzone: String,
}

impl Locality {
    /// Parses `REGION`, `REGION/ZONE` or `REGION/ZONE/SUBZONE`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/').map(str::to_owned);
        let locality = Self {
            region: parts.next().unwrap_or_default(),
            zone: parts.next().unwrap_or_default(),
            subzone: parts.next().unwrap_or_default(),
        };
        if parts.next().is_some() || locality.region.is_empty() {
            return Err("write REGION, REGION/ZONE or REGION/ZONE/SUBZONE, as in eu-west/eu-west-1a".into());
        }
        Ok(locality)
    }

    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        for (name, value) in [("region", &self.region), ("zone", &self.zone), ("sub_zone", &self.subzone)] {
            if !value.is_empty() {
                fields.insert(name.into(), value.as_str().into());
            }
        }
        Value::Object(fields)
    }
}

/// The node that a proxy shows to the control plane.
#[derive(Debug)]
pub(super) struct Node(Value);

impl Node {
    /// A node; `cluster` defaults to the workload's `app` (or its pod) and namespace.
    pub(super) fn new(
        id: &NodeId,
        cluster: Option<&str>,
        locality: Option<Locality>,
        metadata: Map<String, Value>,
    ) -> Self {
        let app = metadata.get("LABELS").and_then(|labels| labels.get("app")).and_then(Value::as_str);
        let cluster = match cluster {
            Some(name) => name.to_owned(),
            None => format!("{}.{}", app.unwrap_or(&id.pod), id.namespace),
        };
        let mut node = json!({"id": id.to_string(), "cluster": cluster, "metadata": metadata});
        if let (Some(locality), Some(fields)) = (locality, node.as_object_mut()) {
            fields.insert("locality".into(), locality.to_json());
        }
        Self(node)
    }

    /// The node as JSON.
    pub(super) fn to_json(&self) -> Value {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_has_four_parts() {
        let id = NodeId::parse("sidecar~10.0.0.1~web.v1.shop~shop.svc.cluster.local").unwrap();
        assert_eq!((id.pod.as_str(), id.namespace.as_str()), ("web.v1", "shop"));
        assert_eq!(id.ip, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(NodeId::parse("router~~gw.shop~shop.svc.cluster.local").unwrap().ip, None);
    }

    #[test]
    fn what_is_no_node_id_is_refused_with_a_remedy() {
        for (text, reason) in [
            ("", "1 parts"),
            ("sidecar~10.0.0.1~web.shop", "3 parts"),
            ("sidecar~10.0.0.1~we\u{1b}b.shop~shop.svc.cluster.local", "control characters"),
            ("proxy~10.0.0.1~web.shop~shop.svc.cluster.local", "type of proxy"),
            ("sidecar~here~web.shop~shop.svc.cluster.local", "not an IP address"),
            ("sidecar~10.0.0.1~web~shop.svc.cluster.local", "no namespace"),
            ("sidecar~10.0.0.1~.shop~shop.svc.cluster.local", "POD.NAMESPACE"),
            ("sidecar~10.0.0.1~web.shop~mall.svc.cluster.local", "does not begin with"),
        ] {
            let error = NodeId::parse(text).unwrap_err();
            assert!(error.contains(reason) && error.contains("as in sidecar~"), "{text}: {error}");
        }
    }

    #[test]
    fn a_locality_has_up_to_three_parts() {
        assert_eq!(Locality::parse("r/z").unwrap().to_json(), json!({"region": "r", "zone": "z"}));
        assert!(Locality::parse("").is_err());
        assert!(Locality::parse("a/b/c/d").is_err());
    }
}
