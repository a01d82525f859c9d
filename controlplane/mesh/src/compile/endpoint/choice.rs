//! Which endpoints an assignment has, and in what health.

use super::{Place, has_labels};
use crate::model::{
    Labels,
    endpoint::{Endpoint, EndpointAddress, Health},
};

/// An endpoint that takes part, and how healthy it is said to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen<'a> {
    /// The endpoint.
    pub(super) endpoint: &'a Endpoint,
    /// Its health in this assignment.
    pub(super) health: Health,
}

/// What an endpoint must be like to be chosen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    /// These labels: those of a subset.
    pub(super) labels: Option<&'a Labels>,
    /// On this node.
    pub(super) node: Option<&'a str>,
    /// Unhealthy ones too, so that Envoy can tell how many of all are healthy.
    pub(super) unhealthy_too: bool,
}

impl Chosen<'_> {
    /// Whether it is on its way out.
    pub(super) fn is_draining(&self) -> bool {
        self.health == Health::Draining
    }
}

impl<'a> Wanted<'a> {
    /// Only endpoints on the node of the caller, where that is known. A caller whose node nobody knows gets all: it can be
    /// served from another node, but not from none.
    pub(super) fn on_node_of(self, place: Option<&'a Place>) -> Self {
        Self { node: place.and_then(|place| place.node.as_deref()), ..self }
    }
}

/// The endpoints that are wanted and that EDS can carry, each address once, in the order of their addresses.
///
/// Where nothing is healthy, those that are going away but still answer count as healthy: the last pod of a service that
/// restarts serves until its successor does.
pub(super) fn choose<'a>(endpoints: &'a [Endpoint], wanted: Wanted<'_>) -> Vec<Chosen<'a>> {
    let fits = |endpoint: &&Endpoint| {
        // Envoy resolves no names that come with EDS, and refuses all endpoints that come with one.
        !matches!(endpoint.address, EndpointAddress::Dns(..))
            && (wanted.unhealthy_too || endpoint.health != Health::Unhealthy)
            && wanted.labels.is_none_or(|labels| has_labels(endpoint, labels))
            && wanted.node.is_none_or(|node| endpoint.node.as_deref() == Some(node))
    };
    let mut fitting: Vec<&Endpoint> = endpoints.iter().filter(fits).collect();
    // The healthiest of equal addresses comes first and is the one that stays.
    fitting.sort_by(|a, b| (&a.address, a.health, a).cmp(&(&b.address, b.health, b)));
    fitting.dedup_by(|later, first| later.address == first.address);
    let any_healthy = fitting.iter().any(|endpoint| endpoint.health == Health::Healthy);
    let health = |endpoint: &Endpoint| match endpoint.health {
        Health::Draining if !any_healthy => Health::Healthy,
        health @ (Health::Healthy | Health::Draining | Health::Unhealthy) => health,
    };
    fitting.into_iter().map(|endpoint| Chosen { endpoint, health: health(endpoint) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::cluster::fixture::endpoint;

    fn with(ip: &str, health: Health) -> Endpoint {
        Endpoint { health, ..endpoint(ip, 80) }
    }

    fn chosen(endpoints: &[Endpoint], wanted: Wanted<'_>) -> Vec<(String, Health)> {
        let text = |chosen: &Chosen<'_>| match &chosen.endpoint.address {
            EndpointAddress::Ip(ip, _) => ip.to_string(),
            other @ (EndpointAddress::Dns(..) | EndpointAddress::Pipe(_)) => format!("{other:?}"),
        };
        choose(endpoints, wanted).iter().map(|c| (text(c), c.health)).collect()
    }

    #[test]
    fn an_address_is_chosen_once_in_its_best_health() {
        let endpoints =
            [with("10.0.0.2", Health::Healthy), with("10.0.0.1", Health::Draining), with("10.0.0.1", Health::Healthy)];
        let expected = [("10.0.0.1".to_owned(), Health::Healthy), ("10.0.0.2".to_owned(), Health::Healthy)];
        assert_eq!(chosen(&endpoints, Wanted::default()), expected);
    }

    #[test]
    fn draining_endpoints_serve_when_nothing_else_is_left() {
        let endpoints = [with("10.0.0.1", Health::Draining), with("10.0.0.2", Health::Unhealthy)];
        assert_eq!(chosen(&endpoints, Wanted::default()), [("10.0.0.1".to_owned(), Health::Healthy)]);
        let endpoints = [with("10.0.0.1", Health::Draining), with("10.0.0.2", Health::Healthy)];
        assert_eq!(chosen(&endpoints, Wanted::default())[0].1, Health::Draining);
    }

    #[test]
    fn unhealthy_endpoints_are_chosen_only_where_they_count() {
        let endpoints = [with("10.0.0.1", Health::Unhealthy), with("10.0.0.2", Health::Healthy)];
        assert_eq!(chosen(&endpoints, Wanted::default()).len(), 1);
        assert_eq!(chosen(&endpoints, Wanted { unhealthy_too: true, ..Wanted::default() }).len(), 2);
    }

    #[test]
    fn names_are_left_out() {
        let mut named = endpoint("10.0.0.1", 80);
        named.address = EndpointAddress::Dns("a.example.com".into(), 80);
        assert!(choose(&[named], Wanted::default()).is_empty());
    }

    #[test]
    fn a_node_local_service_has_only_the_endpoints_of_the_callers_node_where_that_is_known() {
        let mut near = endpoint("10.0.0.1", 80);
        near.node = Some("n1".into());
        let endpoints = [near, endpoint("10.0.0.2", 80)];
        let place = |node: Option<&str>| Place { node: node.map(str::to_owned), ..Place::default() };
        let count = |place: &Place| choose(&endpoints, Wanted::default().on_node_of(Some(place))).len();
        assert_eq!(count(&place(Some("n1"))), 1);
        assert_eq!(count(&place(Some("n9"))), 0);
        assert_eq!(count(&place(None)), 2);
    }
}
