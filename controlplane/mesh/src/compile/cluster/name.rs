//! The names of clusters, exactly as Istio writes them: dashboards, `EnvoyFilter`s and `istioctl` read them.

use std::{fmt, sync::Arc};

use crate::model::Hostname;

/// Leads nowhere: what the policy does not let through.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// Leads where the caller wanted to go, for hosts that the mesh does not know.
pub const PASSTHROUGH: &str = "PassthroughCluster";
/// Leads to the application, for ports that no service declares.
pub const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";

/// The name of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(Arc<str>);

impl ClusterName {
    /// `outbound|9080|v1|reviews.default.svc.cluster.local`; no subset leaves its place empty.
    #[must_use]
    pub fn outbound(port: u16, subset: Option<&str>, host: &Hostname) -> Self {
        Self(format!("outbound|{port}|{}|{host}", subset.unwrap_or_default()).into())
    }

    /// `inbound|9080||`, by the port that the application listens on.
    #[must_use]
    pub fn inbound(port: u16) -> Self {
        Self(format!("inbound|{port}||").into())
    }

    /// One of [`BLACK_HOLE`], [`PASSTHROUGH`] and [`INBOUND_PASSTHROUGH`].
    #[must_use]
    pub fn fixed(name: &'static str) -> Self {
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as shared text.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The name under which the cluster's statistics are kept: the semicolon ends it, so that Istio's rules for labels
    /// find where the name stops though it has dots of its own.
    #[must_use]
    pub fn stat(&self) -> String {
        format!("{};", self.0)
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `outbound_.9080_.v1_.reviews.default.svc.cluster.local`: an outbound cluster's name in the letters of a DNS name, which
/// is the server name of mutual TLS inside the mesh and of gateways that pass TLS through.
#[must_use]
pub fn server_name(port: u16, subset: Option<&str>, host: &Hostname) -> String {
    format!("outbound_.{port}_.{}_.{host}", subset.unwrap_or_default())
}

/// The parts of an outbound cluster's name: port, subset and host.
#[must_use]
pub fn parse_outbound(name: &str) -> Option<(u16, Option<&str>, &str)> {
    let mut parts = name.strip_prefix("outbound|")?.splitn(3, '|');
    let (port, subset, host) = (parts.next()?, parts.next()?, parts.next()?);
    Some((port.parse().ok()?, Some(subset).filter(|s| !s.is_empty()), host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reviews() -> Hostname {
        Hostname::parse("reviews.default.svc.cluster.local").unwrap()
    }

    #[test]
    fn names_are_those_of_istio() {
        let host = reviews();
        assert_eq!(
            ClusterName::outbound(9080, None, &host).as_str(),
            "outbound|9080||reviews.default.svc.cluster.local"
        );
        let v1 = ClusterName::outbound(9080, Some("v1"), &host);
        assert_eq!(v1.to_string(), "outbound|9080|v1|reviews.default.svc.cluster.local");
        assert_eq!(v1.stat(), "outbound|9080|v1|reviews.default.svc.cluster.local;");
        assert_eq!(ClusterName::inbound(9080).as_str(), "inbound|9080||");
        assert_eq!(server_name(9080, Some("v1"), &host), "outbound_.9080_.v1_.reviews.default.svc.cluster.local");
        assert_eq!(server_name(9080, None, &host), "outbound_.9080_._.reviews.default.svc.cluster.local");
    }

    #[test]
    fn an_outbound_name_is_taken_apart_again() {
        let host = reviews();
        let parse =
            |name: &ClusterName| parse_outbound(name.as_str()).map(|(p, s, h)| (p, s.map(str::to_owned), h.to_owned()));
        let expected = |subset: Option<&str>| Some((80, subset.map(str::to_owned), host.as_str().to_owned()));
        assert_eq!(parse(&ClusterName::outbound(80, None, &host)), expected(None));
        assert_eq!(parse(&ClusterName::outbound(80, Some("v2"), &host)), expected(Some("v2")));
        assert_eq!(parse(&ClusterName::inbound(80)), None);
        assert_eq!(parse(&ClusterName::fixed(PASSTHROUGH)), None);
        assert_eq!(parse_outbound("outbound|x||a"), None);
    }
}
