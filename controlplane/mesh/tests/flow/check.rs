//! Each thing that cannot be right is said, and nothing else is.

use std::time::Duration;

use mesh::{
    compile::{
        check::{check, check_object},
        route::ROUTES_MAX,
    },
    model::{
        Change, Config, Selector,
        destination_rule::OutlierDetection,
        peer_authentication::MutualTls,
        service_entry::{EntryAddress, EntryResolution},
        string_match::StringMatch,
        virtual_service::{GatewayName, HttpAction, HttpMatch, HttpRule, Retries, Rewrite},
        visibility::ExportTo,
    },
    store::Store,
};

use crate::sample::*;

fn said(changes: Vec<Change>) -> Vec<String> {
    let mut store = Store::new();
    store.apply(changes.clone());
    let problems = check(store.mesh());
    // Whatever is said of an object when all are looked at is said when it alone is.
    for change in changes {
        let Change::Set(object) = change else { continue };
        if matches!(
            *object,
            Config::VirtualService(_) | Config::DestinationRule(_) | Config::Sidecar(_) | Config::PeerAuthentication(_)
        ) {
            let title = object.id().to_string();
            let of_it: Vec<_> = problems.iter().filter(|problem| problem.object == title).cloned().collect();
            assert_eq!(check_object(store.mesh(), &object), of_it);
        }
    }
    problems.iter().map(|p| format!("{} {p}", p.code)).collect()
}

fn web() -> Vec<Change> {
    let labelled = pod("default/web-1", &[("version", "v1")]);
    let slice = slice("default/web-x", "web").with(endpoint_of("10.1.0.1", "web-1"));
    vec![service("default/web").set(), labelled.set(), slice.set()]
}

fn with(mut base: Vec<Change>, more: impl IntoIterator<Item = Change>) -> Vec<Change> {
    base.extend(more);
    base
}

fn prefix(text: &str) -> HttpMatch {
    HttpMatch { uri: Some(StringMatch::Prefix(text.into())), ..HttpMatch::default() }
}

fn to_web(matches: Vec<HttpMatch>) -> HttpRule {
    let action = HttpAction::Route(vec![destination(&fqdn("default/web"), None)]);
    HttpRule { matches, action, ..HttpRule::default() }
}

fn web_route(rules: Vec<HttpRule>) -> Change {
    let mut object = route("default/web", &fqdn("default/web"), &fqdn("default/web"));
    object.spec.http = rules;
    object.set()
}

#[test]
fn a_mesh_that_is_right_says_nothing() {
    let rule = rule("default/web", &fqdn("default/web"), &["v1"]);
    let mut split = route("default/web", &fqdn("default/web"), &fqdn("default/web"));
    split.spec.http[0].action = HttpAction::Route(vec![destination(&fqdn("default/web"), Some("v1"))]);
    assert_eq!(said(with(web(), [rule.set(), split.set(), sidecar("default/s", &["./*", "*/*"]).set()])), [""; 0]);
    assert_eq!(said(Vec::new()), [""; 0]);
}

#[test]
fn a_destination_names_a_host_a_port_and_a_subset() {
    let mut object = route("default/web", &fqdn("default/web"), &fqdn("default/wbe"));
    assert_eq!(
        said(with(web(), [object.clone().set()])),
        [
            "MS0501 warning: VirtualService default/web: spec.http[0].route[0].destination.host: no Service or ServiceEntry \
          is called wbe.default.svc.cluster.local (did you mean web.default.svc.cluster.local?)"
        ]
    );
    let mut to = destination(&fqdn("default/web"), Some("v9"));
    to.destination.port = Some(81);
    object.spec.http[0].action = HttpAction::Route(vec![to]);
    assert_eq!(
        said(with(web(), [object.clone().set()])),
        [
            "MS0502 warning: VirtualService default/web: spec.http[0].route[0].destination.subset: no DestinationRule \
             declares a subset v9 of web.default.svc.cluster.local (declare it in a DestinationRule)",
            "MS0503 warning: VirtualService default/web: spec.http[0].route[0].destination.port.number: \
             web.default.svc.cluster.local has no port 81 (use one of: 80)",
        ]
    );
    let rule = rule("default/web", &fqdn("default/web"), &["v1"]).set();
    let all = said(with(web(), [object.set(), rule]));
    assert!(all[0].contains("web.default.svc.cluster.local has no subset v9 (use one of: v1)"), "{all:?}");
}

#[test]
fn a_subset_of_a_rule_that_does_not_hold_is_told_apart() {
    let mut object = route("default/web", &fqdn("default/web"), &fqdn("default/web"));
    object.spec.http[0].action = HttpAction::Route(vec![destination(&fqdn("default/web"), Some("v1"))]);
    let all = said(with(web(), [object.set(), rule("far/web", &fqdn("default/web"), &["v1"]).set()]));
    assert_eq!(
        all,
        [
            "MS0509 warning: DestinationRule far/web: metadata.namespace: the rule holds only for callers in far, and \
             there are none (use one of: default)",
            "MS0502 warning: VirtualService default/web: spec.http[0].route[0].destination.subset: the subset v1 of \
             web.default.svc.cluster.local is declared by DestinationRule far/web, which does not hold for callers in \
             default (move the rule to the namespace of the service, or of the callers)",
        ]
    );
}

#[test]
fn half_a_name_and_the_name_of_another_namespace_are_answered() {
    let half = route("default/web", &fqdn("default/web"), &host("web.default"));
    let all = said(with(web(), [half.set()]));
    assert!(all[0].starts_with("MS0604") && all[0].contains("did you mean web.default.svc.cluster.local?"), "{all:?}");
    let far = route("far/web", &fqdn("far/web"), &fqdn("far/web"));
    let all = said(with(web(), [far.set()]));
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|problem| problem.contains("did you mean web.default.svc.cluster.local?")), "{all:?}");
}

#[test]
fn a_service_that_is_hidden_is_no_destination() {
    let mut hidden = service("far/api");
    hidden.spec.export_to = ExportTo::Namespaces(vec![namespace("far")]);
    let to_hidden = route("default/api", &host("api.example"), &fqdn("far/api"));
    let all = said(vec![hidden.set(), to_hidden.set()]);
    assert!(all.iter().any(|problem| problem.starts_with("MS0516")), "{all:?}");
}

#[test]
fn the_older_of_two_virtual_services_has_the_host() {
    let route = |id: &str, at| route(id, &fqdn("default/web"), &fqdn("default/web")).created(at);
    let all = said(with(web(), [route("default/b", 1).set(), route("default/a", 2).set()]));
    assert_eq!(
        all,
        ["MS0507 warning: VirtualService default/a: spec.hosts[0]: web.default.svc.cluster.local is taken by \
          VirtualService default/b, which is older, and nothing is merged (put the rules into one VirtualService)"]
    );
    let mut own = route("default/a", 2);
    own.spec.export_to = ExportTo::Namespaces(vec![namespace("x")]);
    let mut other = route("default/b", 1);
    other.spec.export_to = ExportTo::Namespaces(vec![namespace("y")]);
    assert_eq!(said(with(web(), [own.set(), other.set()])), [""; 0]);
    let mut edge = route("default/c", 3);
    edge.spec.gateways = vec![GatewayName::Gateway(namespace("default"), "edge".into())];
    assert_eq!(said(with(web(), [route("default/b", 1).set(), edge.set()])), [""; 0]);
}

#[test]
fn rules_behind_a_wider_one_are_never_reached() {
    let all = said(with(web(), [web_route(vec![to_web(vec![]), to_web(vec![prefix("/a")])])]));
    assert_eq!(
        all,
        [
            "MS0601 warning: VirtualService default/web: spec.http[1]: never reached: spec.http[0] takes every request that \
          it would (put the narrower rule first)"
        ]
    );
    let reached = |rules: Vec<HttpRule>| said(with(web(), [web_route(rules)])).is_empty();
    assert!(reached(vec![to_web(vec![prefix("/a/b")]), to_web(vec![prefix("/a")]), to_web(vec![])]));
    assert!(!reached(vec![to_web(vec![prefix("/a")]), to_web(vec![prefix("/a/b")])]));
    assert!(!reached(vec![to_web(vec![prefix("/")]), to_web(vec![])]));
    let method = HttpMatch { method: Some(StringMatch::Exact("GET".into())), ..prefix("/a") };
    assert!(reached(vec![to_web(vec![method.clone()]), to_web(vec![prefix("/a/b")])]));
    assert!(!reached(vec![to_web(vec![prefix("/a")]), to_web(vec![method])]));
}

#[test]
fn delegates_are_there_and_do_not_delegate() {
    let delegate = |name: &str| HttpRule {
        action: HttpAction::Delegate { name: name.into(), namespace: namespace("default") },
        ..HttpRule::default()
    };
    let all = said(with(web(), [web_route(vec![delegate("gone")])]));
    assert!(all[0].starts_with("MS0505"), "{all:?}");
    let all = said(with(web(), [web_route(vec![delegate("web")])]));
    assert!(all[0].starts_with("MS0506") && all[0].contains("delegates itself"), "{all:?}");
    let mut good = route("default/good", &fqdn("default/web"), &fqdn("default/web"));
    good.spec.hosts.clear();
    good.spec.gateways.clear();
    assert_eq!(said(with(web(), [web_route(vec![delegate("good")]), good.set()])), [""; 0]);
}

#[test]
fn a_prefix_that_sticks_to_its_rewrite_is_shown_by_example() {
    let rule = |matched: &str, rewrite: &str| HttpRule {
        rewrite: Some(Rewrite { uri: Some(rewrite.into()), ..Rewrite::default() }),
        ..to_web(vec![prefix(matched)])
    };
    let all = said(with(web(), [web_route(vec![rule("/old", "/new/")])]));
    assert!(all[0].contains("the path /old/x becomes /new//x (match /old/, or rewrite to /new)"), "{all:?}");
    let all = said(with(web(), [web_route(vec![rule("/old/", "/new")])]));
    assert!(all[0].contains("the path /old/x becomes /newx (rewrite to /new/)"), "{all:?}");
    assert_eq!(said(with(web(), [web_route(vec![rule("/old/", "/"), rule("/a", "/b")])])), [""; 0]);
}

#[test]
fn weights_that_are_no_percentages_are_shown_as_such() {
    let leg = |weight| {
        let mut leg = destination(&fqdn("default/web"), None);
        leg.weight = weight;
        leg
    };
    let rule = HttpRule { action: HttpAction::Route(vec![leg(1), leg(2)]), ..HttpRule::default() };
    let all = said(with(web(), [web_route(vec![rule])]));
    assert!(all[0].contains("add up to 3, so that the split is 33.3 % / 66.6 %"), "{all:?}");
}

#[test]
fn rules_for_nothing_and_subsets_of_nothing_are_said() {
    let of_web = |id: &str, subsets: &[&str]| rule(id, &fqdn("default/web"), subsets);
    let all = said(with(web(), [rule("default/x", &fqdn("default/xyz"), &[]).set()]));
    assert!(all[0].starts_with("MS0514"), "{all:?}");
    let all = said(with(web(), [of_web("default/web", &["v1", "v2"]).set()]));
    assert_eq!(
        all,
        ["MS0513 warning: DestinationRule default/web: spec.subsets[1].labels: no endpoint of \
          web.default.svc.cluster.local has version=v2 (label the pods of v2, or correct the labels)"]
    );
    let younger = of_web("default/b", &["v1"]).created(9);
    let all = said(with(web(), [of_web("default/a", &["v1"]).set(), younger.set()]));
    assert!(all.len() == 1 && all[0].starts_with("MS0508") && all[0].contains("DestinationRule default/b"), "{all:?}");
}

#[test]
fn the_policy_of_a_younger_rule_is_said_to_be_lost() {
    let with_policy = |id: &str, at| {
        let mut rule = rule(id, &fqdn("default/web"), &[]).created(at);
        rule.spec.policy.settings.outlier_detection = Some(OutlierDetection::default());
        rule
    };
    let without = rule("default/a", &fqdn("default/web"), &["v1"]).created(0);
    let changes = [without.set(), with_policy("default/b", 1).set(), with_policy("default/c", 2).set()];
    assert_eq!(
        said(with(web(), changes)),
        [
            "MS0517 warning: DestinationRule default/c: spec.trafficPolicy: not in force: DestinationRule default/b has a \
          policy for this host too, and is older (put both into one DestinationRule)"
        ]
    );
    // For other callers it is in force.
    let mut chosen = with_policy("default/c", 2);
    chosen.spec.workload_selector = Some(Selector(labels(&[("app", "gate")])));
    assert_eq!(said(with(web(), [with_policy("default/b", 1).set(), chosen.set()])), [""; 0]);
}

#[test]
fn a_timeout_that_ends_before_a_try_does_is_said() {
    let rule = |whole: u64, a_try: u64| HttpRule {
        timeout: Some(Duration::from_secs(whole)),
        retries: Some(Retries { attempts: 2, per_try_timeout: Some(Duration::from_secs(a_try)), ..Retries::default() }),
        ..to_web(vec![])
    };
    assert_eq!(
        said(with(web(), [web_route(vec![rule(1, 2)])])),
        ["MS0612 warning: VirtualService default/web: spec.http[0].timeout: 1s for all tries together is less than \
          retries.perTryTimeout, 2s (make it longer, or the tries shorter)"]
    );
    for (whole, a_try) in [(2, 2), (0, 2)] {
        assert_eq!(said(with(web(), [web_route(vec![rule(whole, a_try)])])), [""; 0]);
    }
}

#[test]
fn routes_beyond_the_limit_are_said_to_be_left_out() {
    let delegate = HttpRule {
        action: HttpAction::Delegate { name: "good".into(), namespace: namespace("default") },
        matches: (0..ROUTES_MAX / 100).map(|n| prefix(&format!("/{n}/"))).collect(),
        ..HttpRule::default()
    };
    let good = |rules: usize| {
        let mut good = route("default/good", &fqdn("default/web"), &fqdn("default/web"));
        good.spec.hosts.clear();
        good.spec.gateways.clear();
        good.spec.http = (0..rules).map(|n| to_web(vec![prefix(&format!("/0/{n}/"))])).collect();
        good.set()
    };
    assert_eq!(said(with(web(), [web_route(vec![delegate.clone()]), good(100)])), [""; 0]);
    let all = said(with(web(), [web_route(vec![delegate, to_web(vec![])]), good(100)]));
    assert!(all.len() == 1 && all[0].contains("MS0613 warning") && all[0].contains("spec.http[1]"), "{all:?}");
}

#[test]
fn imports_of_nothing_are_said() {
    let all = said(with(web(), [sidecar("default/s", &["far/*", "*/web.default.svc.cluster.local"]).set()]));
    assert!(all.len() == 1 && all[0].contains("far/* matches no service"), "{all:?}");
    let far = sidecar("default/s", &["far/web.default.svc.cluster.local"]).set();
    let all = said(with(web(), [far]));
    assert!(all[0].contains("did you mean default/web.default.svc.cluster.local?"), "{all:?}");
}

#[test]
fn names_that_are_not_resolved_are_said() {
    let named = || {
        let mut named = workload_entry("default/vm", "10.0.0.1", &[("app", "vm")]);
        named.spec.address = Some(EntryAddress::Dns(host("vm.example.com")));
        named.set()
    };
    let selecting = |resolution| {
        let mut entry = entry("default/api", &["api.example.com"], resolution);
        entry.spec.workload_selector = Some(Selector(labels(&[("app", "vm")])));
        entry.set()
    };
    assert_eq!(
        said(with(web(), [named(), selecting(EntryResolution::Static)])),
        ["MS0518 warning: WorkloadEntry default/vm: spec.address: vm.example.com is a name, and ServiceEntry \
          default/api has resolution STATIC (write an IP address, or use resolution DNS there)"]
    );
    assert_eq!(said(with(web(), [named(), selecting(EntryResolution::Dns)])), [""; 0]);
}

#[test]
fn services_without_endpoints_and_endpoints_without_a_service_are_said() {
    let all = said(with(web(), [service("default/api").set(), slice("default/x", "gone").set()]));
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].starts_with("MS0511") && all[1].starts_with("MS0510"), "{all:?}");
}

#[test]
fn peer_authentications_that_hold_for_nobody_are_said() {
    let strict = Some(MutualTls::Strict);
    let of_pods = |id: &str| peer_authentication(id, &[("app", "web")], strict, &[]);
    assert_eq!(
        said(vec![
            peer_authentication("default/old", &[], strict, &[]).created(1).set(),
            peer_authentication("default/new", &[], None, &[]).created(2).set(),
            of_pods("default/web").set(),
            of_pods("istio-system/web").set(),
        ]),
        [
            "MS0523 warning: PeerAuthentication default/new: spec.selector: PeerAuthentication default/old is older and for \
             the same workloads, so that nothing of this one holds (put what both say into one, and remove the other)",
            "MS0523 warning: PeerAuthentication istio-system/web: spec.selector: selects workloads in istio-system, whose \
             PeerAuthentications are for the whole mesh (put it into the namespace of the workloads, or remove the selector)",
        ]
    );
}
