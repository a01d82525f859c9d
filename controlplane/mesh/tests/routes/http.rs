//! Any HTTP rule.

use std::time::Duration;

use mesh::model::{
    Hostname, Labels, Namespace,
    string_match::{StringMatch, ValueMatch},
    virtual_service::{
        AbortStatus, Cors, Destination, Fault, FaultAbort, FaultDelay, GatewayName, HeaderChanges, HeaderOperations,
        HttpAction, HttpDestination, HttpMatch, HttpRule, Millionths, Mirror, Redirect, RedirectPort, Retries, Rewrite,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// What texts may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Texts {
    /// What the reader of objects lets through.
    Read,
    /// Anything at all.
    Wild,
}

/// Expressions that both the reader and Envoy take, with substitutions that fit.
const REGEXES: [(&str, &str); 5] =
    [("/a.*", "/b"), ("^/api/v[0-9]+/(.*)$", r"/\1"), (".*", r"\0"), ("(a|b)+", r"\1\\"), ("/[^/]+(/x)?", "")];
const HEADERS: [&str; 7] = ["x-a", "x-b", "host", ":authority", "content-type", "x-request-id", "cookie"];
const VALUES: [&str; 7] = ["1", "a b", "%REQ(x-a)%", "100%%", "%NOSUCH(x)%", "%START_TIME(%s)%", "ü"];
const SUBSETS: [&str; 3] = ["v1", "v2", "gone"];
const CONDITIONS: [&str; 5] = ["5xx", "reset", "connect-failure", "unavailable", "retriable-status-codes"];
const DELEGATES: [&str; 3] = ["leaf", "nested", "missing"];

/// The hosts of services, and some that none has.
pub(crate) const HOSTS: [&str; 18] = [
    "web.default.svc.cluster.local",
    "db.default.svc.cluster.local",
    "any.default.svc.cluster.local",
    "headless.other.svc.cluster.local",
    "api.example.com",
    "*.example.com",
    "*.wild.example.com",
    "alias.default.svc.cluster.local",
    "ring.default.svc.cluster.local",
    "web.default",
    "foreign.example.org",
    "*.svc.cluster.local",
    "*",
    "a.wild.example.com",
    "web",
    "*.headless.other",
    "10.96.0.1",
    "any.default.svc",
];

pub(crate) fn host() -> impl Strategy<Value = Hostname> {
    select(&HOSTS[..]).prop_map(|name| Hostname::parse(name).unwrap())
}

pub(crate) fn namespace(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

pub(crate) fn labels() -> impl Strategy<Value = Labels> {
    prop_oneof![
        3 => Just(Labels::new()),
        1 => Just(Labels::from([("app".to_owned(), "web".to_owned())])),
    ]
}

pub(crate) fn port() -> impl Strategy<Value = u16> {
    select(vec![80, 443, 8080, 9080, 15001])
}

/// Any text of a line.
pub(crate) fn text(texts: Texts) -> BoxedStrategy<String> {
    match texts {
        Texts::Read => prop_oneof![Just(String::new()), "[ -~]{1,12}", "/[a-z/]{0,12}"].boxed(),
        Texts::Wild => prop_oneof![any::<String>(), "\\PC{0,400}", Just("ü".repeat(5000))].boxed(),
    }
}

fn string_match(texts: Texts) -> impl Strategy<Value = StringMatch> {
    prop_oneof![
        text(texts).prop_map(StringMatch::Exact),
        text(texts).prop_map(StringMatch::Prefix),
        select(&REGEXES[..]).prop_map(|(regex, _)| StringMatch::Regex(regex.to_owned())),
        Just(StringMatch::Regex(String::new())),
    ]
}

fn value_match(texts: Texts) -> impl Strategy<Value = ValueMatch> {
    prop_oneof![Just(ValueMatch::Present), string_match(texts).prop_map(ValueMatch::Value)]
}

fn named_values(texts: Texts) -> impl Strategy<Value = Vec<(String, ValueMatch)>> {
    vec((select(&HEADERS[..]).prop_map(str::to_owned), value_match(texts)), 0..3)
}

fn http_match(texts: Texts) -> impl Strategy<Value = HttpMatch> {
    let paths = (option::of(string_match(texts)), any::<bool>());
    let pseudo = (option::of(string_match(texts)), option::of(string_match(texts)), option::of(string_match(texts)));
    let values = (named_values(texts), named_values(texts), named_values(texts));
    let choice = (
        option::weighted(0.2, port()),
        labels(),
        option::weighted(0.2, select(vec!["default", "other"]).prop_map(namespace)),
        option::weighted(0.2, Just(GatewayName::Gateway(namespace("default"), "edge".to_owned()))),
    );
    (text(texts), paths, pseudo, values, choice, text(texts)).prop_map(
        |(name, (uri, ignore_uri_case), (scheme, method, authority), values, choice, stat_prefix)| {
            let (headers, without_headers, query_params) = values;
            let (port, source_labels, source_namespace, gateway) = choice;
            HttpMatch {
                name,
                uri,
                ignore_uri_case,
                scheme,
                method,
                authority,
                headers,
                without_headers,
                query_params: query_params.into_iter().filter(|(name, _)| !name.starts_with(':')).collect(),
                port,
                source_labels,
                source_namespace,
                gateways: gateway.into_iter().collect(),
                stat_prefix,
            }
        },
    )
}

fn operations(texts: Texts) -> impl Strategy<Value = HeaderOperations> {
    let value = move || match texts {
        Texts::Read => select(&VALUES[..]).prop_map(str::to_owned).boxed(),
        Texts::Wild => text(texts),
    };
    let name = || select(&HEADERS[..]).prop_map(str::to_owned);
    (vec((name(), value()), 0..3), vec((name(), value()), 0..3), vec(name(), 0..2))
        .prop_map(|(set, add, remove)| HeaderOperations { set, add, remove })
}

fn header_changes(texts: Texts) -> impl Strategy<Value = HeaderChanges> {
    prop_oneof![
        2 => Just(HeaderChanges::default()),
        1 => (operations(texts), operations(texts))
            .prop_map(|(request, response)| HeaderChanges { request, response }),
    ]
}

pub(crate) fn destination() -> impl Strategy<Value = Destination> {
    let subset = option::of(select(&SUBSETS[..]).prop_map(str::to_owned));
    (host(), subset, option::of(port())).prop_map(|(host, subset, port)| Destination { host, subset, port })
}

pub(crate) fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0_u32..=100, 1 => Just(u32::MAX)]
}

pub(crate) fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        4 => (1_u64..100_000).prop_map(Duration::from_millis),
        1 => Just(Duration::from_nanos(1)),
        1 => Just(Duration::MAX),
    ]
}

fn millionths() -> impl Strategy<Value = Millionths> {
    prop_oneof![Just(0), 1_u32..=1_000_000, Just(u32::MAX)].prop_map(Millionths)
}

fn action(texts: Texts) -> impl Strategy<Value = HttpAction> {
    let leg = (destination(), weight(), header_changes(texts))
        .prop_map(|(destination, weight, headers)| HttpDestination { destination, weight, headers });
    let redirect_port = prop_oneof![
        port().prop_map(RedirectPort::Number),
        Just(RedirectPort::ProtocolDefault),
        Just(RedirectPort::RequestPort)
    ];
    let scheme = option::of(select(vec!["http", "https"]).prop_map(str::to_owned));
    let paths = (option::of(text(texts)), option::of(text(texts)), option::of(text(texts)));
    let redirect = (paths, option::of(redirect_port), scheme, select(vec![301, 302, 303, 307, 308])).prop_map(
        |((uri, uri_prefix, authority), port, scheme, code)| {
            HttpAction::Redirect(Redirect { uri, uri_prefix, authority, port, scheme, code })
        },
    );
    prop_oneof![
        6 => vec(leg, 0..4).prop_map(HttpAction::Route),
        1 => redirect,
        1 => (200_u16..600, option::of(vec(any::<u8>(), 0..20)))
            .prop_map(|(status, body)| HttpAction::DirectResponse { status, body }),
        1 => select(&DELEGATES[..]).prop_map(|name| HttpAction::Delegate {
            name: name.to_owned(),
            namespace: namespace("default")
        }),
    ]
}

fn rewrite(texts: Texts) -> impl Strategy<Value = Rewrite> {
    let regex = select(&REGEXES[..]).prop_map(|(pattern, to)| (pattern.to_owned(), to.to_owned()));
    (option::of(text(texts)), option::of(text(texts)), option::of(regex))
        .prop_map(|(uri, authority, uri_regex)| Rewrite { uri, authority, uri_regex })
}

pub(crate) fn retries() -> impl Strategy<Value = Retries> {
    let conditions = vec(select(&CONDITIONS[..]).prop_map(str::to_owned), 0..3);
    let durations = (option::of(duration()), option::of(duration()));
    (0_u32..5, durations, conditions, vec(400_u32..600, 0..3), any::<Option<bool>>(), any::<Option<bool>>()).prop_map(
        |(attempts, (per_try_timeout, backoff), retry_on, codes, remote_localities, ignore_previous_hosts)| Retries {
            attempts,
            per_try_timeout,
            retry_on,
            retriable_status_codes: codes,
            remote_localities,
            ignore_previous_hosts,
            backoff,
        },
    )
}

fn fault() -> impl Strategy<Value = Fault> {
    let status = prop_oneof![(200_u16..600).prop_map(AbortStatus::Http), (0_u32..17).prop_map(AbortStatus::Grpc)];
    let delay = (duration(), millionths()).prop_map(|(duration, share)| FaultDelay { duration, share });
    let abort = (status, millionths()).prop_map(|(status, share)| FaultAbort { status, share });
    (option::of(delay), option::of(abort)).prop_map(|(delay, abort)| Fault { delay, abort })
}

fn cors(texts: Texts) -> impl Strategy<Value = Cors> {
    let list = || vec(select(vec!["GET", "x-a", "*"]).prop_map(str::to_owned), 0..3);
    (
        vec(string_match(texts), 0..3),
        (list(), list(), list()),
        option::of(duration()),
        any::<Option<bool>>(),
        any::<Option<bool>>(),
    )
        .prop_map(|(allow_origins, (methods, headers, expose), max_age, credentials, forward)| Cors {
            allow_origins,
            allow_methods: methods,
            allow_headers: headers,
            expose_headers: expose,
            max_age,
            allow_credentials: credentials,
            forward_unmatched_preflights: forward,
        })
}

pub(crate) fn rule(texts: Texts) -> impl Strategy<Value = HttpRule> {
    let mirror = (destination(), millionths()).prop_map(|(destination, share)| Mirror { destination, share });
    let first = (text(texts), vec(http_match(texts), 0..3), action(texts), header_changes(texts));
    let second = (
        option::weighted(0.3, rewrite(texts)),
        option::of(duration()),
        option::weighted(0.3, retries()),
        option::weighted(0.3, fault()),
        vec(mirror, 0..2),
        option::weighted(0.3, cors(texts)),
    );
    (first, second).prop_map(|((name, matches, action, headers), (rewrite, timeout, retries, fault, mirrors, cors))| {
        HttpRule { name, matches, action, headers, rewrite, timeout, retries, fault, mirrors, cors }
    })
}
