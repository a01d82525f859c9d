//! Which VirtualService holds for a host, and which of its rules hold for a viewpoint and port.
//!
//! The labels and the namespace of the caller, the port and the gateways select when routes are made; they are no
//! conditions of the routes themselves.

use std::collections::HashMap;

use crate::{
    compile::{scope::Scope, viewpoint::Viewpoint},
    model::{
        Hostname, Kind, Labels, Namespace, Object, ObjectId, Shared,
        virtual_service::{GatewayName, HttpAction, HttpMatch, HttpRule, L4Match, VirtualService},
    },
};

/// A rule of a VirtualService that holds for a viewpoint and port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChosenRule {
    /// Its place in `spec.http`.
    pub rule: usize,
    /// Those of its matches that can come true here, by their place; empty when the rule has none and always holds.
    pub matches: Vec<usize>,
    /// Whom it hands over to.
    pub delegate: Option<Delegated>,
}

/// The VirtualService that a rule hands over to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Delegated {
    /// The VirtualService.
    pub virtual_service: Shared<Object<VirtualService>>,
    /// Its rules that hold here. A delegate does not delegate again.
    pub rules: Vec<ChosenRule>,
}

/// The VirtualServices of a scope by the hosts that they name.
#[derive(Debug)]
pub(crate) struct ByHost<'a> {
    hosts: HashMap<&'a str, Vec<&'a Shared<Object<VirtualService>>>>,
    has_wildcards: bool,
}

impl<'a> ByHost<'a> {
    pub(crate) fn new(scope: &'a Scope) -> Self {
        let mut hosts: HashMap<&str, Vec<_>> = HashMap::new();
        for virtual_service in &scope.virtual_services {
            for host in &virtual_service.spec.hosts {
                hosts.entry(host.as_str()).or_default().push(virtual_service);
            }
        }
        let has_wildcards = hosts.keys().any(|host| host.starts_with('*'));
        Self { hosts, has_wildcards }
    }

    /// Those that name exactly this host, in order of precedence.
    pub(crate) fn naming(&self, host: &str) -> &[&'a Shared<Object<VirtualService>>] {
        self.hosts.get(host).map_or(&[], Vec::as_slice)
    }

    /// What `choose` finds in the first of those that cover `host`: an exact name before a wildcard, a longer wildcard
    /// before a shorter one, the older object of equals. One in which it finds nothing does not count.
    pub(crate) fn first<T>(
        &self,
        host: &Hostname,
        mut choose: impl FnMut(&'a Shared<Object<VirtualService>>) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = self.naming(host.as_str()).iter().find_map(|vs| choose(vs)) {
            return Some(found);
        }
        if !self.has_wildcards {
            return None;
        }
        host.wildcards().find_map(|wildcard| self.naming(&wildcard).iter().find_map(|vs| choose(vs)))
    }
}

/// The HTTP rules of a VirtualService that hold for the viewpoint at a port; none when it has no rule to offer there.
pub(crate) fn http_rules(
    virtual_service: &Object<VirtualService>,
    port: u16,
    viewpoint: &Viewpoint,
    delegates: &std::collections::BTreeMap<ObjectId, Shared<Object<VirtualService>>>,
) -> Option<Vec<ChosenRule>> {
    let rules: Vec<ChosenRule> = virtual_service
        .spec
        .http
        .iter()
        .enumerate()
        .filter_map(|(place, rule)| {
            let matches = chosen_matches(rule, port, viewpoint)?;
            let delegate = match &rule.action {
                HttpAction::Delegate { name, namespace } => {
                    Some(delegated(name, namespace, port, viewpoint, delegates)?)
                }
                HttpAction::Route(_) | HttpAction::Redirect(_) | HttpAction::DirectResponse { .. } => None,
            };
            Some(ChosenRule { rule: place, matches, delegate })
        })
        .collect();
    (!rules.is_empty()).then_some(rules)
}

/// A delegate that does not exist, or has nothing for here, drops the rule: the request goes on to the next one.
fn delegated(
    name: &str,
    namespace: &Namespace,
    port: u16,
    viewpoint: &Viewpoint,
    delegates: &std::collections::BTreeMap<ObjectId, Shared<Object<VirtualService>>>,
) -> Option<Delegated> {
    let virtual_service = delegates.get(&ObjectId::new(Kind::VirtualService, namespace.clone(), name))?;
    let rules: Vec<ChosenRule> = virtual_service
        .spec
        .http
        .iter()
        .enumerate()
        .filter(|(_, rule)| !matches!(rule.action, HttpAction::Delegate { .. }))
        .filter_map(|(place, rule)| {
            let matches = chosen_matches(rule, port, viewpoint)?;
            Some(ChosenRule { rule: place, matches, delegate: None })
        })
        .collect();
    (!rules.is_empty()).then(|| Delegated { virtual_service: virtual_service.clone(), rules })
}

/// The matches that can come true; `None` when the rule has some and none of them can.
fn chosen_matches(rule: &HttpRule, port: u16, viewpoint: &Viewpoint) -> Option<Vec<usize>> {
    let matches: Vec<usize> = rule
        .matches
        .iter()
        .enumerate()
        .filter(|(_, condition)| http_match_holds(condition, port, viewpoint))
        .map(|(place, _)| place)
        .collect();
    (rule.matches.is_empty() || !matches.is_empty()).then_some(matches)
}

fn http_match_holds(condition: &HttpMatch, port: u16, viewpoint: &Viewpoint) -> bool {
    let HttpMatch { port: own, source_labels, source_namespace, gateways, .. } = condition;
    holds(*own, source_labels, source_namespace.as_ref(), gateways, port, viewpoint)
}

/// Whether a match of a TLS or TCP rule can come true for the viewpoint at a port.
pub(crate) fn l4_match_holds(condition: &L4Match, port: u16, viewpoint: &Viewpoint) -> bool {
    let L4Match { sni_hosts: _, destination_subnets: _, port: own, source_labels, source_namespace, gateways } =
        condition;
    holds(*own, source_labels, source_namespace.as_ref(), gateways, port, viewpoint)
}

fn holds(
    own_port: Option<u16>,
    source_labels: &Labels,
    source_namespace: Option<&Namespace>,
    gateways: &[GatewayName],
    port: u16,
    viewpoint: &Viewpoint,
) -> bool {
    own_port.is_none_or(|own| own == port)
        && source_labels.iter().all(|(key, value)| viewpoint.labels.get(key) == Some(value))
        && source_namespace.is_none_or(|namespace| *namespace == viewpoint.namespace)
        && (gateways.is_empty() || gateways.contains(&GatewayName::Mesh))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::route::fixture::{self, Mesh};

    fn rules_at(mesh: &Mesh, vs: &str, port: u16, viewpoint: &Viewpoint) -> Vec<usize> {
        let scope = mesh.scope();
        let found = scope.virtual_services.iter().find(|object| &*object.id.name == vs).unwrap();
        http_rules(found, port, viewpoint, &scope.delegates)
            .unwrap_or_default()
            .into_iter()
            .map(|chosen| chosen.rule)
            .collect()
    }

    #[test]
    fn port_labels_namespace_and_gateways_choose_the_rules() {
        let conditions = [
            HttpMatch { port: Some(81), ..HttpMatch::default() },
            HttpMatch { source_labels: fixture::labels(&[("app", "web")]), ..HttpMatch::default() },
            HttpMatch { source_namespace: Some(fixture::namespace("other")), ..HttpMatch::default() },
            HttpMatch {
                gateways: vec![GatewayName::Gateway(fixture::namespace("default"), "edge".into())],
                ..HttpMatch::default()
            },
            HttpMatch { gateways: vec![GatewayName::Mesh], ..HttpMatch::default() },
        ];
        let rules = conditions.into_iter().map(|condition| fixture::rule("reviews").when(condition)).collect();
        let mesh = Mesh::new().virtual_service("vs", &["reviews"], rules);
        let mut viewpoint = fixture::sidecar();
        assert_eq!(rules_at(&mesh, "vs", 80, &viewpoint), [4]);
        assert_eq!(rules_at(&mesh, "vs", 81, &viewpoint), [0, 4]);
        viewpoint.labels = fixture::labels(&[("app", "web"), ("version", "v1")]);
        viewpoint.namespace = fixture::namespace("other");
        assert_eq!(rules_at(&mesh, "vs", 80, &viewpoint), [1, 2, 4]);
    }

    #[test]
    fn a_missing_or_nested_delegate_drops_its_rule() {
        let mesh = Mesh::new()
            .virtual_service(
                "root",
                &["reviews"],
                vec![fixture::delegating("there"), fixture::delegating("missing"), fixture::delegating("nested")],
            )
            .delegate("there", vec![fixture::rule("reviews")])
            .delegate("nested", vec![fixture::delegating("there")]);
        assert_eq!(rules_at(&mesh, "root", 80, &fixture::sidecar()), [0]);
    }

    #[test]
    fn an_exact_host_wins_over_wildcards_and_the_longer_wildcard_over_the_shorter() {
        let mesh = Mesh::new()
            .virtual_service("any", &["*"], vec![fixture::rule("reviews")])
            .virtual_service("long", &["*.b.example.com"], vec![fixture::rule("reviews")])
            .virtual_service("short", &["*.example.com"], vec![fixture::rule("reviews")])
            .virtual_service("exact", &["a.b.example.com"], vec![fixture::rule("reviews")])
            .virtual_service("later", &["a.b.example.com"], vec![fixture::rule("reviews")]);
        let scope = mesh.scope();
        let by_host = ByHost::new(&scope);
        let holder = |host: &str| {
            by_host.first(&Hostname::parse(host).unwrap(), |vs| Some(vs.id.name.to_string())).unwrap_or_default()
        };
        assert_eq!(holder("a.b.example.com"), "exact");
        assert_eq!(holder("c.b.example.com"), "long");
        assert_eq!(holder("c.example.com"), "short");
        assert_eq!(holder("example.com"), "any");
        let second = by_host.first(&Hostname::parse("a.b.example.com").unwrap(), |vs| {
            (&*vs.id.name != "exact").then(|| vs.id.name.to_string())
        });
        assert_eq!(second.as_deref(), Some("later"), "one that has nothing to offer does not count");
    }
}
