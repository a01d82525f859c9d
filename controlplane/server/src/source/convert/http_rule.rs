//! One HTTP rule: when it holds, and the one thing that it does.

use std::time::Duration;

use mesh::model::{
    code,
    virtual_service::{Destination, HttpAction, HttpDestination, HttpRule, RULES_MAX},
};

use super::{Conversion, resilience::MirrorFields};
use crate::source::{
    path::Path,
    wire::{PortSelector, http_route as wire, virtual_service as vs},
};

impl Conversion<'_> {
    pub(super) fn http_rule(&mut self, value: wire::HttpRoute, path: Path<'_>) -> HttpRule {
        let wire::HttpRoute {
            name,
            matches,
            route,
            redirect,
            direct_response,
            delegate,
            rewrite,
            timeout,
            retries,
            fault,
            mirror,
            mirrors,
            mirror_percent_old,
            mirror_percent,
            mirror_percentage,
            cors_policy,
            headers,
        } = value;
        let forwards = !route.is_empty() || delegate.is_some();
        let answers = redirect.is_some() || direct_response.is_some();
        if answers && !forwards {
            let given = [
                ("timeout", timeout.is_some()),
                ("retries", retries.is_some()),
                ("fault", fault.is_some()),
                ("mirror", mirror.is_some()),
                ("mirrors", !mirrors.is_empty()),
            ];
            self.without_effect(given, path);
            self.exclusive((answers, "a redirect or direct response"), (rewrite.is_some(), "rewrite"), path);
        }
        let mirrors = MirrorFields {
            mirror,
            mirrors,
            percent_old: mirror_percent_old,
            percent: mirror_percent,
            percentage: mirror_percentage,
        };
        let matches_path = path.field("match");
        self.limit(matches.len(), RULES_MAX, matches_path);
        HttpRule {
            name: name.unwrap_or_default(),
            matches: matches
                .into_iter()
                .enumerate()
                .map(|(place, value)| self.http_match(value, matches_path.index(place)))
                .collect(),
            action: self.http_action(Actions { route, redirect, direct_response, delegate }, path),
            headers: self.header_changes(headers, path.field("headers")),
            rewrite: rewrite.map(|rewrite| self.rewrite(rewrite, path.field("rewrite"))),
            timeout: self.duration(timeout.as_ref(), Duration::ZERO, path.field("timeout")),
            retries: retries.map(|retries| self.retries(retries, path.field("retries"))),
            fault: fault.map(|fault| self.fault(fault, path.field("fault"))),
            mirrors: self.mirrors(mirrors, path),
            cors: cors_policy.map(|cors| self.cors(cors, path.field("corsPolicy"))),
        }
    }

    fn without_effect(&mut self, fields: impl IntoIterator<Item = (&'static str, bool)>, path: Path<'_>) {
        for (field, _) in fields.into_iter().filter(|(_, given)| *given) {
            self.error(
                code::ACTION_IGNORES,
                path.field(field),
                "has no effect: the proxy answers itself",
                "remove it, or use route",
            );
        }
    }

    fn http_action(&mut self, actions: Actions, path: Path<'_>) -> HttpAction {
        let Actions { route, redirect, direct_response, delegate } = actions;
        let given: Vec<&str> = [
            ("route", !route.is_empty()),
            ("redirect", redirect.is_some()),
            ("directResponse", direct_response.is_some()),
            ("delegate", delegate.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect();
        match given.as_slice() {
            [] => self.error(
                code::MISSING_FIELD,
                path,
                "the rule does nothing",
                "add route, redirect, directResponse or delegate",
            ),
            [_] => {}
            [first, second, ..] => {
                let reason = format!("{first} and {second} exclude each other");
                self.error(code::CONFLICTING_FIELDS, path.field(second), reason, "remove one of them");
            }
        }
        match (redirect, direct_response, delegate) {
            (Some(redirect), _, _) => self.redirect(redirect, path.field("redirect")),
            (None, Some(response), _) => self.direct_response(response, path.field("directResponse")),
            (None, None, Some(delegate)) => self.delegate(delegate, path.field("delegate")),
            (None, None, None) => HttpAction::Route(self.http_destinations(route, path.field("route"))),
        }
    }

    fn http_destinations(&mut self, route: Vec<wire::HttpRouteDestination>, path: Path<'_>) -> Vec<HttpDestination> {
        let weights: Vec<Option<i32>> = route.iter().map(|destination| destination.weight).collect();
        let weights = self.weights(&weights, path);
        route
            .into_iter()
            .zip(weights)
            .enumerate()
            .filter_map(|(place, (value, weight))| {
                let wire::HttpRouteDestination { destination, weight: _, headers } = value;
                let path = path.index(place);
                Some(HttpDestination {
                    headers: self.header_changes(headers, path.field("headers")),
                    destination: self.destination(destination, path.field("destination"))?,
                    weight,
                })
            })
            .collect()
    }

    /// The weights of several destinations; 0 where none is said. A single destination needs none.
    pub(super) fn weights(&mut self, weights: &[Option<i32>], path: Path<'_>) -> Vec<u32> {
        let mut parsed = Vec::with_capacity(weights.len());
        for (place, weight) in weights.iter().enumerate() {
            parsed.push(u32::try_from(weight.unwrap_or_default()).unwrap_or_else(|_| {
                let item = path.index(place);
                self.error(code::BAD_WEIGHT, item.field("weight"), "must not be negative", "");
                1
            }));
        }
        let sum: u64 = parsed.iter().copied().map(u64::from).sum();
        if parsed.len() > 1 && sum == 0 {
            self.error(
                code::BAD_WEIGHT,
                path,
                "several destinations, and none has a weight",
                "give each its weight, for example 50 and 50",
            );
        } else if sum > u64::from(u32::MAX) {
            self.error(code::BAD_WEIGHT, path, format!("the weights add up to {sum}, more than {}", u32::MAX), "");
        }
        if parsed.len() > 1 && sum > 0 {
            for (place, _) in parsed.iter().enumerate().filter(|(_, weight)| **weight == 0) {
                self.error(
                    code::DROPPED_DESTINATION,
                    path.index(place),
                    "gets no requests: its weight is zero and others have weights",
                    "",
                );
            }
        }
        parsed
    }

    pub(super) fn destination(&mut self, value: vs::Destination, path: Path<'_>) -> Option<Destination> {
        let vs::Destination { host, subset, port } = value;
        let port = match port {
            Some(PortSelector { number }) => {
                let port_path = path.field("port");
                Some(self.port(number, port_path.field("number"))?)
            }
            None => None,
        };
        let host_path = path.field("host");
        let host = self.host(&host, host_path)?;
        if host.is_wildcard() {
            self.error(code::BAD_NAME, host_path, "a destination cannot be a wildcard", "name one host");
        }
        Some(Destination { host, subset: subset.filter(|subset| !subset.is_empty()), port })
    }
}

/// The fields of a rule of which exactly one must be given.
#[derive(Debug)]
struct Actions {
    route: Vec<wire::HttpRouteDestination>,
    redirect: Option<wire::HttpRedirect>,
    direct_response: Option<wire::HttpDirectResponse>,
    delegate: Option<wire::Delegate>,
}
