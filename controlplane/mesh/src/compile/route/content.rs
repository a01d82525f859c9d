//! The routes of a virtual host, each with what it does and who said so.

use std::time::Duration;

use proto::{
    envoy::config::route::v3::{
        Decorator, Route, RouteAction, WeightedCluster,
        route::Action,
        route_action::{ClusterSpecifier, HashPolicy, MaxStreamDuration},
        weighted_cluster::{ClusterWeight, cluster_weight},
    },
    google::protobuf::Duration as ProtoDuration,
};

use super::{
    ROUTES_MAX, VirtualHostContent, VirtualHostInput, cors, destination,
    destination::Target,
    direct_response, fallback, fault, hash_policy,
    header::{self, Headers},
    line::{self, Line},
    matcher, mirror, provenance, redirect, retry, rewrite,
    text::{self, STAT_LEN_MAX},
};
use crate::{
    compile::{duration, scope::ScopedService},
    model::{
        Hostname, Object, Origin,
        destination_rule::HashKey,
        mesh_config::MeshConfig,
        string_match::StringMatch,
        virtual_service::{
            Destination, HeaderChanges, HttpAction, HttpDestination, HttpMatch, HttpRule, VirtualService,
        },
    },
};

/// The routes of a virtual host, in the order in which they are tried.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) routes: Vec<Route>,
    /// The objects that made them.
    pub(super) provenance: Vec<Origin>,
}

pub(super) fn routes(input: &VirtualHostInput) -> Routes {
    let config = &input.config.spec;
    match &input.content {
        VirtualHostContent::Service { service, port } => of_service(service, *port, config),
        VirtualHostContent::VirtualService { virtual_service, rules, port, destinations } => {
            let context = Context { virtual_service, port: *port, destinations, config };
            context.routes(line::lines(virtual_service, rules))
        }
        VirtualHostContent::Fallback(policy) => {
            Routes { routes: vec![fallback::route(*policy)], provenance: input.config.origin().into_iter().collect() }
        }
    }
}

/// Everything goes to the service.
fn of_service(scoped: &ScopedService, port: u16, config: &MeshConfig) -> Routes {
    let service = &scoped.service.service;
    let mut provenance = vec![Origin::whole(&scoped.service.origin)];
    let cluster = destination::cluster_name(port, None, &service.hostname);
    let target = Target { cluster, service: Some(scoped), port };
    let (keys, origins): (Vec<HashKey>, Vec<Origin>) = hash_policy::hash_key(&target, None).into_iter().unzip();
    provenance.extend(origins);
    let mut action = RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(target.cluster.to_string())),
        retry_policy: retry::policy(None, config),
        hash_policy: hash_policies(keys),
        ..RouteAction::default()
    };
    set_timeout(None, &mut action);
    let route = Route {
        name: "default".to_owned(),
        r#match: Some(matcher::everything()),
        decorator: Some(decorator(service.hostname.as_str(), port, None)),
        action: Some(Action::Route(action)),
        ..Route::default()
    };
    Routes { routes: vec![route], provenance }
}

/// How long the whole request may take; none and zero are without end.
///
/// Without end a gRPC caller's own deadline counts. Beside a timeout it cannot be had: Envoy ignores the timeout of a route
/// that says anything of streams, and the field that could say both is one for which it logs a warning on every update.
/// The caller keeps its deadline itself.
pub(super) fn set_timeout(timeout: Option<Duration>, action: &mut RouteAction) {
    let timeout = timeout.unwrap_or_default();
    action.timeout = Some(duration::of(timeout));
    if timeout.is_zero() {
        action.max_stream_duration = Some(endless());
    }
}

/// Streams that take as long as they do, or as a gRPC caller says.
pub(crate) fn endless() -> MaxStreamDuration {
    MaxStreamDuration {
        max_stream_duration: Some(ProtoDuration::default()),
        grpc_timeout_header_max: Some(ProtoDuration::default()),
        ..MaxStreamDuration::default()
    }
}

fn hash_policies(keys: Vec<HashKey>) -> Vec<HashPolicy> {
    keys.into_iter().filter_map(hash_policy::policy).collect()
}

/// What traces call the route: `host:port/path`.
pub(crate) fn decorator(host: &str, port: u16, uri: Option<&StringMatch>) -> Decorator {
    let path = match uri {
        None => "/*".to_owned(),
        Some(StringMatch::Exact(path) | StringMatch::Regex(path)) => path.clone(),
        Some(StringMatch::Prefix(prefix)) => format!("{prefix}*"),
    };
    Decorator { operation: text::bounded(&format!("{host}:{port}{path}"), STAT_LEN_MAX), ..Decorator::default() }
}

/// What the routes of a VirtualService are made from.
struct Context<'a> {
    virtual_service: &'a Object<VirtualService>,
    port: u16,
    destinations: &'a [ScopedService],
    config: &'a MeshConfig,
}

impl<'a> Context<'a> {
    fn routes(&self, lines: impl Iterator<Item = Line<'a>>) -> Routes {
        let mut made = Routes::default();
        for line in lines.take(ROUTES_MAX) {
            let Some(route) = self.route(&line, &mut made.provenance) else { continue };
            let is_last = route.r#match.as_ref().is_some_and(matcher::is_everything);
            made.routes.push(route);
            made.provenance.extend(line.origins);
            if is_last {
                break;
            }
        }
        made.provenance.sort();
        made.provenance.dedup();
        made
    }

    fn route(&self, line: &Line<'_>, provenance: &mut Vec<Origin>) -> Option<Route> {
        let (rule, condition) = (&*line.rule, &*line.condition);
        let mut route = Route {
            name: text::bounded(&name(rule, condition), STAT_LEN_MAX),
            r#match: Some(matcher::route_match(condition)),
            metadata: Some(provenance::metadata(&self.virtual_service.id, &line.origins)),
            stat_prefix: text::bounded(&condition.stat_prefix, STAT_LEN_MAX),
            ..Route::default()
        };
        let mut host = self.virtual_service.id.name.to_string();
        let action = match &rule.action {
            HttpAction::Route(destinations) => {
                let forward = self.forward(rule, destinations, &mut route, provenance)?;
                host = forward.host.map_or(host, |host| host.as_str().to_owned());
                if let Some(fault) = rule.fault.as_ref().and_then(fault::config) {
                    route.typed_per_filter_config.insert(fault::FILTER.to_owned(), fault);
                }
                Action::Route(forward.action)
            }
            HttpAction::Redirect(redirect) => {
                set_headers(header::changes(&[&rule.headers]), &mut route);
                Action::Redirect(redirect::action(redirect, self.port))
            }
            HttpAction::DirectResponse { status, body } => {
                set_headers(header::changes(&[&rule.headers]), &mut route);
                Action::DirectResponse(direct_response::action(*status, body.as_deref()))
            }
            // A delegate's own rule stands in its place by now; one that delegates again was never chosen.
            HttpAction::Delegate { .. } => return None,
        };
        if let Some(cors) = &rule.cors {
            route.typed_per_filter_config.insert(cors::FILTER.to_owned(), cors::config(cors));
        }
        route.decorator = Some(decorator(&host, self.port, condition.uri.as_ref()));
        route.action = Some(action);
        Some(route)
    }

    fn forward<'d>(
        &self,
        rule: &HttpRule,
        destinations: &'d [HttpDestination],
        route: &mut Route,
        provenance: &mut Vec<Origin>,
    ) -> Option<Forward<'d>> {
        let weights = destination::weights(&destinations.iter().map(|d| d.weight).collect::<Vec<_>>());
        let legs: Vec<(&'d HttpDestination, u32)> =
            destinations.iter().zip(weights).filter(|(_, weight)| *weight > 0).collect();
        let mut keys: Vec<HashKey> = Vec::new();
        for (leg, _) in &legs {
            let target = self.target(&leg.destination);
            if let Some((key, origin)) = hash_policy::hash_key(&target, leg.destination.subset.as_deref()) {
                provenance.push(origin);
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        let mut action = RouteAction {
            retry_policy: retry::policy(rule.retries.as_ref(), self.config),
            request_mirror_policies: mirror::policies(&rule.mirrors, |destination| self.target(destination)),
            hash_policy: hash_policies(keys),
            ..RouteAction::default()
        };
        set_timeout(rule.timeout, &mut action);
        let (specifier, headers, host) = match legs.as_slice() {
            [] => return None,
            [(only, _)] => {
                let cluster = self.target(&only.destination).cluster.to_string();
                let headers = header::changes(&[&rule.headers, &only.headers]);
                (ClusterSpecifier::Cluster(cluster), headers, Some(&only.destination.host))
            }
            several => {
                let (clusters, headers) = self.weighted(rule, several);
                let weighted = WeightedCluster { clusters, ..WeightedCluster::default() };
                (ClusterSpecifier::WeightedClusters(weighted), headers, None)
            }
        };
        action.cluster_specifier = Some(specifier);
        rewrite::apply(rule.rewrite.as_ref(), headers.host.clone(), &mut action);
        set_headers(headers, route);
        Some(Forward { action, host })
    }

    /// The clusters of several destinations, and the header changes that stay with the route: none when a destination has
    /// its own, for each then has all of its changes, in the right order.
    fn weighted(&self, rule: &HttpRule, legs: &[(&HttpDestination, u32)]) -> (Vec<ClusterWeight>, Headers) {
        let is_plain = legs.iter().all(|(leg, _)| leg.headers == HeaderChanges::default());
        let authority = rule.rewrite.as_ref().and_then(|rewrite| rewrite.authority.as_ref());
        let cluster = |(leg, weight): &(&HttpDestination, u32)| {
            let headers = if is_plain { Headers::default() } else { header::changes(&[&rule.headers, &leg.headers]) };
            let host = headers.host.filter(|_| authority.is_none());
            ClusterWeight {
                name: self.target(&leg.destination).cluster.to_string(),
                weight: Some(*weight),
                request_headers_to_add: headers.request_add,
                request_headers_to_remove: headers.request_remove,
                response_headers_to_add: headers.response_add,
                response_headers_to_remove: headers.response_remove,
                host_rewrite_specifier: host.map(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral),
                ..ClusterWeight::default()
            }
        };
        let clusters = legs.iter().map(cluster).collect();
        (clusters, if is_plain { header::changes(&[&rule.headers]) } else { Headers::default() })
    }

    fn target(&self, destination: &Destination) -> Target<'a> {
        let find = |host: &Hostname| self.destinations.iter().find(|scoped| scoped.service.service.hostname == *host);
        destination::target(destination, self.port, find)
    }
}

/// A forwarding action, and the host it forwards to when there is one only.
struct Forward<'a> {
    action: RouteAction,
    host: Option<&'a Hostname>,
}

fn set_headers(headers: Headers, route: &mut Route) {
    let Headers { request_add, request_remove, response_add, response_remove, host: _ } = headers;
    route.request_headers_to_add = request_add;
    route.request_headers_to_remove = request_remove;
    route.response_headers_to_add = response_add;
    route.response_headers_to_remove = response_remove;
}

fn name(rule: &HttpRule, condition: &HttpMatch) -> String {
    match (rule.name.is_empty(), condition.name.is_empty()) {
        (false, false) => format!("{}.{}", rule.name, condition.name),
        (false, true) => rule.name.clone(),
        // Without a rule's name the match's own stands alone, as in Istio it would after a dot.
        (true, _) => condition.name.clone(),
    }
}

#[cfg(test)]
mod tests;
