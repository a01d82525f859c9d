//! The table of xDS resource types, in the order in which ADS must send them.

use std::fmt;

/// A type of resource that is served over ADS.
///
/// The order of the variants, and so `Ord`, [`ResourceType::ALL`] and [`ResourceType::index`], is the order of a push:
/// clusters, then the endpoints that warm them, then listeners, then the routes that name clusters
/// (<https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#eventual-consistency-considerations>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// `envoy.config.cluster.v3.Cluster` (CDS).
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment` (EDS).
    Endpoint,
    /// `envoy.config.listener.v3.Listener` (LDS).
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration` (RDS).
    Route,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret` (SDS).
    Secret,
    /// `envoy.config.core.v3.TypedExtensionConfig` (ECDS).
    ExtensionConfig,
}

impl ResourceType {
    /// How many types there are.
    pub const COUNT: usize = 6;

    /// Every type, in push order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Cluster, Self::Endpoint, Self::Listener, Self::Route, Self::Secret, Self::ExtensionConfig];

    /// The type URL, as it stands in discovery requests and in `Any`.
    #[must_use]
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::ExtensionConfig => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// The type of a type URL; none for a type that is not served.
    #[must_use]
    pub fn from_type_url(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }

    /// The short name of its discovery service, in lower case: `cds`, `eds`, `lds`, `rds`, `sds`, `ecds`.
    #[must_use]
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::Cluster => "cds",
            Self::Endpoint => "eds",
            Self::Listener => "lds",
            Self::Route => "rds",
            Self::Secret => "sds",
            Self::ExtensionConfig => "ecds",
        }
    }

    /// The type of a short name, in lower case; none for any other.
    #[must_use]
    pub fn from_short_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.short_name() == name)
    }

    /// Its place in [`ResourceType::ALL`], for tables with one entry per type.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Cluster => 0,
            Self::Endpoint => 1,
            Self::Listener => 2,
            Self::Route => 3,
            Self::Secret => 4,
            Self::ExtensionConfig => 5,
        }
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.short_name())
    }
}

#[cfg(test)]
mod tests {
    use prost::Name;

    use super::ResourceType;
    use crate::envoy::config::{cluster, core, endpoint, listener, route};
    use crate::envoy::extensions::transport_sockets::tls;

    #[test]
    fn all_is_in_push_order_and_index_is_the_place_in_it() {
        assert!(ResourceType::ALL.is_sorted());
        for (place, kind) in ResourceType::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), place);
        }
    }

    #[test]
    fn names_lead_back_to_their_type() {
        for kind in ResourceType::ALL {
            assert_eq!(ResourceType::from_type_url(kind.type_url()), Some(kind));
            assert_eq!(ResourceType::from_short_name(kind.short_name()), Some(kind));
        }
        assert_eq!(ResourceType::from_type_url("envoy.config.cluster.v3.Cluster"), None);
        assert_eq!(ResourceType::from_short_name("CDS"), None);
    }

    #[test]
    fn type_urls_are_those_of_the_messages() {
        assert_eq!(ResourceType::Cluster.type_url(), cluster::v3::Cluster::type_url());
        assert_eq!(ResourceType::Endpoint.type_url(), endpoint::v3::ClusterLoadAssignment::type_url());
        assert_eq!(ResourceType::Listener.type_url(), listener::v3::Listener::type_url());
        assert_eq!(ResourceType::Route.type_url(), route::v3::RouteConfiguration::type_url());
        assert_eq!(ResourceType::Secret.type_url(), tls::v3::Secret::type_url());
        assert_eq!(ResourceType::ExtensionConfig.type_url(), core::v3::TypedExtensionConfig::type_url());
    }
}
