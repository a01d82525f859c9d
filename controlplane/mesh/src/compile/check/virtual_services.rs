//! Virtual services: hosts that are taken, delegates that lead nowhere, rules that surprise.

use std::collections::HashMap;

use super::Checker;
use crate::{
    compile::route::ROUTES_MAX,
    model::{
        Hostname, Kind, Namespace, Object, ObjectId, Shared, code,
        string_match::StringMatch,
        virtual_service::{HttpAction, HttpRule, VirtualService},
        visibility::{DefaultExport, ExportTo},
    },
};

impl Checker<'_> {
    pub(super) fn virtual_services(&mut self) {
        let objects: Vec<Shared<Object<VirtualService>>> = self.mesh.virtual_services().iter().cloned().collect();
        self.taken_hosts(&objects);
        for object in &objects {
            self.virtual_service(object);
        }
    }

    /// `object` as it would be beside all others.
    pub(super) fn candidate_virtual_service(&mut self, object: &Object<VirtualService>) {
        let others = self.mesh.virtual_services().iter().filter(|other| other.id != object.id).cloned();
        let objects: Vec<_> = others.chain([Shared::new(object.clone())]).collect();
        self.taken_hosts(&objects);
        self.virtual_service(object);
    }

    fn virtual_service(&mut self, object: &Object<VirtualService>) {
        self.hosts(object);
        self.destinations(object);
        self.unreachable(object);
        self.too_many_routes(object);
        for (place, rule) in object.spec.http.iter().enumerate() {
            self.delegate(object, rule, place);
            self.rewritten_prefix(object, rule, place);
            self.authority(object, rule, place);
            self.tries(object, rule, place);
        }
    }

    fn hosts(&mut self, object: &Object<VirtualService>) {
        for (place, host) in object.spec.hosts.iter().enumerate() {
            if !object.spec.in_mesh() || self.is_declared(host) {
                continue;
            }
            let missing = self.missing(host, &object.id.namespace);
            let code = missing.code(code::UNKNOWN_ROUTE_HOST);
            self.say(code, object, &format!("spec.hosts[{place}]"), missing.reason(host), missing.remedy);
        }
    }

    /// Only the oldest virtual service of the mesh counts for a host.
    fn taken_hosts(&mut self, objects: &[Shared<Object<VirtualService>>]) {
        let mut sorted: Vec<&Shared<Object<VirtualService>>> =
            objects.iter().filter(|object| object.spec.in_mesh()).collect();
        sorted.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
        let default = self.mesh.config().spec.default_virtual_service_export_to;
        let mut owners: HashMap<&Hostname, Vec<&Shared<Object<VirtualService>>>> = HashMap::new();
        for object in sorted {
            for (place, host) in object.spec.hosts.iter().enumerate() {
                let earlier = owners.entry(host).or_default();
                if let Some(winner) = earlier.iter().find(|winner| overlap(winner, object, default)) {
                    let reason = format!("{host} is taken by {}, which is older, and nothing is merged", winner.id);
                    let remedy = "put the rules into one VirtualService".to_owned();
                    self.say(code::HOST_TAKEN, object, &format!("spec.hosts[{place}]"), reason, remedy);
                } else {
                    earlier.push(object);
                }
            }
        }
    }

    fn delegate(&mut self, object: &Object<VirtualService>, rule: &HttpRule, place: usize) {
        let HttpAction::Delegate { name, namespace } = &rule.action else { return };
        let field = format!("spec.http[{place}].delegate");
        let id = ObjectId::new(Kind::VirtualService, namespace.clone(), name);
        let Some(target) = self.mesh.virtual_services().get(&id) else {
            let reason = format!("there is no {id}, so that requests go on to the next rule");
            return self.say(code::UNKNOWN_DELEGATE, object, &field, reason, "create it, or name another".into());
        };
        let delegates = target.spec.http.iter().any(|rule| matches!(rule.action, HttpAction::Delegate { .. }));
        if delegates {
            let reason = format!("{id} delegates itself, so that requests go on to the next rule");
            self.say(code::BAD_DELEGATE, object, &field, reason, "delegate to the last one directly".into());
        } else if !target.spec.hosts.is_empty() {
            let reason = format!("{id} has hosts of its own, so that requests go on to the next rule");
            self.say(code::BAD_DELEGATE, object, &field, reason, "remove its hosts".into());
        }
    }

    /// Each match makes a route, and each match of a delegate one for each that delegates to it.
    fn too_many_routes(&mut self, object: &Object<VirtualService>) {
        let lines = |rule: &HttpRule| rule.matches.len().max(1);
        let mut count = 0_usize;
        for (place, rule) in object.spec.http.iter().enumerate() {
            let delegated = match &rule.action {
                HttpAction::Delegate { name, namespace } => {
                    let id = ObjectId::new(Kind::VirtualService, namespace.clone(), name);
                    let target = self.mesh.virtual_services().get(&id);
                    target.map_or(0, |target| target.spec.http.iter().map(lines).sum())
                }
                HttpAction::Route(_) | HttpAction::Redirect(_) | HttpAction::DirectResponse { .. } => 1,
            };
            count = count.saturating_add(lines(rule).saturating_mul(delegated));
            if count > ROUTES_MAX {
                let reason = format!("with this rule come {count} routes, and those beyond {ROUTES_MAX} are left out");
                let remedy = "join matches with a regular expression, or split the hosts".to_owned();
                return self.say(code::ROUTES_LEFT_OUT, object, &format!("spec.http[{place}]"), reason, remedy);
            }
        }
    }

    fn tries(&mut self, object: &Object<VirtualService>, rule: &HttpRule, place: usize) {
        let a_try = rule.retries.as_ref().and_then(|retries| retries.per_try_timeout);
        if let (Some(whole), Some(a_try)) = (rule.timeout, a_try)
            && !whole.is_zero()
            && whole < a_try
        {
            let reason = format!("{whole:?} for all tries together is less than retries.perTryTimeout, {a_try:?}");
            let remedy = "make it longer, or the tries shorter".to_owned();
            self.say(code::SHORT_TIMEOUT, object, &format!("spec.http[{place}].timeout"), reason, remedy);
        }
    }

    fn rewritten_prefix(&mut self, object: &Object<VirtualService>, rule: &HttpRule, place: usize) {
        let Some(rewrite) = rule.rewrite.as_ref().and_then(|rewrite| rewrite.uri.as_deref()) else { return };
        for (index, matched) in rule.matches.iter().enumerate() {
            let Some(StringMatch::Prefix(prefix)) = &matched.uri else { continue };
            let rest = if prefix.ends_with('/') { "x" } else { "/x" };
            if prefix.ends_with('/') == rewrite.ends_with('/') || prefix == "/" {
                continue;
            }
            let remedy = if rewrite.ends_with('/') {
                format!("match {prefix}/, or rewrite to {}", or_slash(rewrite.trim_end_matches('/')))
            } else {
                format!("rewrite to {rewrite}/")
            };
            self.say(
                code::LOOSE_PREFIX,
                object,
                &format!("spec.http[{place}].match[{index}].uri.prefix"),
                format!("the path {prefix}{rest} becomes {rewrite}{rest}"),
                remedy,
            );
        }
    }

    fn authority(&mut self, object: &Object<VirtualService>, rule: &HttpRule, place: usize) {
        for (index, matched) in rule.matches.iter().enumerate() {
            if let Some(StringMatch::Exact(text) | StringMatch::Prefix(text)) = &matched.authority
                && text.bytes().any(|byte| byte.is_ascii_uppercase())
            {
                self.say(
                    code::AUTHORITY_FORM,
                    object,
                    &format!("spec.http[{place}].match[{index}].authority"),
                    format!("{text} is compared as it was sent, and most callers send lower case"),
                    format!("did you mean {}?", text.to_ascii_lowercase()),
                );
            }
        }
    }
}

fn or_slash(text: &str) -> &str {
    if text.is_empty() { "a path without a slash at its end" } else { text }
}

/// Whether some namespace sees both.
fn overlap(one: &Object<VirtualService>, other: &Object<VirtualService>, default: DefaultExport) -> bool {
    let audience = |object: &Object<VirtualService>| -> Option<Vec<Namespace>> {
        match &object.spec.export_to {
            ExportTo::All => None,
            ExportTo::None => Some(Vec::new()),
            ExportTo::Namespaces(names) => Some(names.clone()),
            ExportTo::Default => match default {
                DefaultExport::All => None,
                DefaultExport::Own => Some(vec![object.id.namespace.clone()]),
                DefaultExport::None => Some(Vec::new()),
            },
        }
    };
    match (audience(one), audience(other)) {
        (None, None) => true,
        (Some(some), None) | (None, Some(some)) => !some.is_empty(),
        (Some(one), Some(other)) => one.iter().any(|namespace| other.contains(namespace)),
    }
}
