//! Rules that go beyond types, each in two forms side by side: the expression that an API server evaluates, and the
//! function with which files are checked. One table of cases is run against both.

use mesh::model::{
    code::{self, Code},
    duration,
};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use std::{collections::BTreeSet, time::Duration};

use crate::source::yaml::{Node, Value};

/// What a value must satisfy.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The expression, in the Common Expression Language; `self` is the value.
    pub cel: &'static str,
    /// What is wrong with a value that breaks it, in one line of lower case.
    pub message: &'static str,
    /// The kind of problem that it then is.
    pub code: Code,
    /// Whether a value satisfies it.
    pub holds: fn(&Node) -> bool,
    /// What was probably meant by a value that breaks it.
    pub hint: fn(&Node) -> String,
}

/// As an entry of `x-kubernetes-validations`.
impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("rule", self.cel)?;
        map.serialize_entry("message", self.message)?;
        map.end()
    }
}

/// The rule with this expression.
#[must_use]
pub fn find(cel: &str) -> Option<&'static Rule> {
    TABLE.iter().find(|rule| rule.cel == cel)
}

macro_rules! rules {
    ($($name:ident $cel:literal $message:literal $holds:expr)*) => {
        $(
            #[doc = concat!("`", $cel, "`: ", $message, ".")]
            pub const $name: Rule =
                Rule { cel: $cel, message: $message, code: code::BAD_VALUE, holds: $holds, hint: |_| String::new() };
        )*

        /// Every rule.
        pub static TABLE: &[Rule] = &[DURATION, $($name),*];
    };
}

/// `duration(self) >= duration('1ms')`: a duration that is not too short to mean anything.
pub const DURATION: Rule = Rule {
    cel: "duration(self) >= duration('1ms')",
    message: "must be a duration of at least 1ms, such as `0.5s`, `250ms` or `1h30m`",
    code: code::BAD_DURATION,
    holds: |node| text(Some(node)).is_none_or(|text| duration::parse(text).is_ok_and(|given| given >= LEAST)),
    hint: |node| match text(Some(node)).and_then(|text| text.trim().parse::<f64>().ok()) {
        Some(number) if (0.001..1e9).contains(&number) => format!("did you mean {number}s?"),
        _ => String::new(),
    },
};

const LEAST: Duration = Duration::from_millis(1);

rules! {
    LABEL_KEYS_WITHOUT_WILDCARD "self.all(key, !key.contains('*'))"
        "labels are compared as they are: no `*` can stand in a key"
        |map| map.entries().iter().all(|entry| !entry.key.contains('*'))
    LABEL_KEYS_NOT_EMPTY "self.all(key, key != '')"
        "the key of a label must not be empty"
        |map| map.entries().iter().all(|entry| !entry.key.is_empty())
    LABEL_WITHOUT_WILDCARD "!self.contains('*')"
        "labels are compared as they are: no `*` can stand in a value"
        |value| text(Some(value)).is_none_or(|text| !text.contains('*'))
    SAME_NAMESPACE "self == ''"
        "must be empty: only what is in the policy's own namespace can be referred to"
        |value| text(Some(value)).is_none_or(str::is_empty)

    SOCKET_PATH "!self.startsWith('unix://') || self.startsWith('unix:///') || self.startsWith('unix://@')"
        "a unix socket needs an absolute path, `unix:///path`, or an abstract name, `unix://@name`"
        |address| text(Some(address)).is_none_or(|text| {
            text.strip_prefix("unix://").is_none_or(|path| path.starts_with(['/', '@']))
        })
    SOCKET_IS_NO_DIRECTORY "!self.startsWith('unix://') || !self.endsWith('/')"
        "a unix socket is a file, not a directory: remove the `/` at the end"
        |address| text(Some(address)).is_none_or(|text| !text.starts_with("unix://") || !text.ends_with('/'))
    ADDRESS_OR_NETWORK "has(self.address) || has(self.network)"
        "an address is missing; only an entry with a network may do without"
        |entry| has(entry, "address") || has(entry, "network")
    SOCKET_WITHOUT_PORTS "!has(self.address) || !self.address.startsWith('unix://') || !has(self.ports)"
        "a unix socket has no ports"
        |entry| text(entry.field("address")).is_none_or(|text| !text.starts_with("unix://")) || !has(entry, "ports")
    PORT_NAMES "self.all(name, size(name) < 63 && name.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))"
        "the names of ports consist of letters, digits and `-`, begin and end with a letter or digit, and have fewer than 63 characters"
        |ports| ports.entries().iter().all(|entry| is_port_name(&entry.key))

    HOST_NOT_ALL "self != '*'"
        "`*` alone is no host: name one, or a domain as `*.example.com`"
        |host| text(Some(host)) != Some("*")
    PORT_NUMBERS_DIFFER "self.all(one, self.exists_one(other, one.number == other.number))"
        "two ports have one number"
        |ports| {
            let mut seen = BTreeSet::new();
            let numbers = ports.items().iter().filter_map(|port| port.field("number"));
            numbers.filter_map(whole).all(|number| seen.insert(number))
        }
    RANGES_NEED_ADDRESSES "!has(self.addresses) || !has(self.resolution) || self.resolution in ['NONE', 'STATIC'] || self.addresses.all(address, !address.contains('/'))"
        "ranges of addresses need resolution NONE or STATIC"
        |entry| {
            let static_or_none = matches!(text(entry.field("resolution")), None | Some("NONE" | "STATIC"));
            let ranges = entry.field("addresses").map(Node::items).unwrap_or_default();
            static_or_none || !ranges.iter().any(|address| text(Some(address)).is_some_and(|text| text.contains('/')))
        }
    NONE_WITHOUT_ENDPOINTS "!has(self.endpoints) || has(self.resolution) && self.resolution != 'NONE'"
        "endpoints need a resolution, and not NONE, which takes the address that the caller asked for"
        |entry| !has(entry, "endpoints") || text(entry.field("resolution")).is_some_and(|text| text != "NONE")
    ONE_ENDPOINT_IN_TURN "!has(self.endpoints) || !has(self.resolution) || self.resolution != 'DNS_ROUND_ROBIN' || self.endpoints.size() <= 1"
        "resolution DNS_ROUND_ROBIN has one endpoint at most"
        |entry| {
            let endpoints = entry.field("endpoints").map(Node::items).unwrap_or_default();
            text(entry.field("resolution")) != Some("DNS_ROUND_ROBIN") || endpoints.len() <= 1
        }

    WAYPOINT_CONTEXT "has(self.waypoint) == (has(self.context) && self.context == 'WAYPOINT')"
        "`waypoint` and context WAYPOINT belong together: give both or neither"
        |found| has(found, "waypoint") == (text(found.field("context")) == Some("WAYPOINT"))

    WASM_OR_LUA "has(self.wasm) != has(self.lua)"
        "give either `wasm` or `lua`"
        |extension| has(extension, "wasm") != has(extension, "lua")
    MODULE_URL "isURL(self) ? url(self).getScheme() in ['', 'http', 'https', 'file', 'oci'] : isURL('http://' + self) && url('http://' + self).getScheme() in ['', 'http', 'https', 'file', 'oci']"
        "must be a URL of scheme oci, http, https or file; without a scheme it is oci"
        |module| text(Some(module)).is_none_or(|text| match scheme(text) {
            Some(scheme) => ["http", "https", "file", "oci"].contains(&scheme.as_str()),
            None => !text.is_empty() && !text.contains("://"),
        })
    INLINE_VALUE "!has(self.value) || !has(self.valueFrom) || self.valueFrom != 'HOST'"
        "a variable that is taken from the host has no value of its own"
        |variable| !has(variable, "value") || text(variable.field("valueFrom")) != Some("HOST")

    SERVICE_ACCOUNTS_ALONE "!(has(self.serviceAccounts) || has(self.notServiceAccounts)) || !(has(self.principals) || has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces))"
        "service accounts say the namespace already: they exclude principals and namespaces"
        |source| {
            let accounts = ["serviceAccounts", "notServiceAccounts"];
            let others = ["principals", "notPrincipals", "namespaces", "notNamespaces"];
            !accounts.iter().any(|name| has(source, name)) || !others.iter().any(|name| has(source, name))
        }
    PORTS_NEED_SELECTOR "!has(self.portLevelMtls) || has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0"
        "ports are those of workloads: `portLevelMtls` needs a `selector` with labels"
        |policy| {
            let labels = policy.field("selector").and_then(|selector| selector.field("matchLabels"));
            !has(policy, "portLevelMtls") || labels.is_some_and(|labels| !labels.entries().is_empty())
        }
    PORT_KEYS "self.all(port, 0 < int(port) && int(port) <= 65535)"
        "the keys are ports, from 1 to 65535"
        |ports| ports.entries().iter().all(|entry| entry.key.parse::<u16>().is_ok_and(|port| port > 0))
    HTTP_URL "url(self).getScheme() in ['http', 'https']"
        "must be a URL of scheme http or https"
        |url| text(Some(url)).is_none_or(|text| matches!(scheme(text).as_deref(), Some("http" | "https")))

    UPSERT_NEEDS_VALUE "!has(self.operation) || self.operation != 'UPSERT' || has(self.value) && self.value != ''"
        "operation UPSERT needs a value"
        |tag| text(tag.field("operation")) != Some("UPSERT") || text(tag.field("value")).is_some_and(|text| !text.is_empty())
    REMOVE_WITHOUT_VALUE "!has(self.operation) || self.operation != 'REMOVE' || !has(self.value)"
        "operation REMOVE has no value"
        |tag| text(tag.field("operation")) != Some("REMOVE") || !has(tag, "value")
}

fn has(node: &Node, name: &str) -> bool {
    node.field(name).is_some_and(|value| !value.is_null())
}

fn text(node: Option<&Node>) -> Option<&str> {
    node.and_then(Node::text)
}

fn whole(node: &Node) -> Option<u64> {
    if let Value::Number(number) = &node.value { number.as_u64() } else { None }
}

fn is_port_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    name.len() < 63
        && name.chars().all(is_inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// The scheme of a URL, in lower case; `None` when it has none.
fn scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once(':').filter(|(_, rest)| rest.starts_with("//"))?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let right = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_scheme);
    right.then(|| scheme.to_ascii_lowercase())
}
