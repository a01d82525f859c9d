//! The codes of problems: one table, so that each means one thing for ever.

use std::fmt::Write as _;

use super::problem::Severity;

/// What a problem's code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `MS0101`; never given to another meaning.
    pub id: &'static str,
    /// How bad such a problem is.
    pub severity: Severity,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// What it means and what is done about it, for the documentation.
    pub about: &'static str,
}

macro_rules! codes {
    ($($name:ident $id:literal $severity:ident $title:literal $about:literal)*) => {
        $(
            #[doc = concat!($id, ": ", $title, ".")]
            pub const $name: Code =
                Code { id: $id, severity: Severity::$severity, title: $title, about: $about };
        )*

        /// Every code, in order.
        pub const TABLE: &[Code] = &[$($name),*];
    };
}

codes! {
    SYNTAX "MS0101" Error "the text is not YAML, or not JSON"
        "The document cannot be read, so none of its objects is. The last good form of each stays in force; other documents of the same file are not affected."
    FILE_UNREADABLE "MS0102" Error "the file or directory cannot be read"
        "Missing, not permitted, or not UTF-8. What it held before stays in force."
    FILE_TOO_LARGE "MS0103" Error "the file is too large"
        "Files above the limit are not read, and what they held before stays in force. Split the file."
    TOO_MANY_FILES "MS0104" Error "there are too many files"
        "Files beyond the limit, in order of their paths, are not read."
    DUPLICATE_KEY "MS0105" Error "a key is given twice"
        "Which of the two values was meant cannot be told, so the object is refused."
    NOT_AN_OBJECT "MS0106" Error "the document is not a Kubernetes object"
        "A document must be a mapping with `apiVersion`, `kind` and `metadata.name`."
    LIMIT "MS0107" Error "a limit is exceeded"
        "Everything that an author can make grow has a limit: nesting, the number of values in a document, rules, matches, subsets, ports, the length of strings and patterns."
    DIRECTORY_TOO_DEEP "MS0108" Error "the directory is nested too deeply"
        "Nothing in directories below the limit is read. Move the files up."
    UNREADABLE_OBJECT "MS0109" Error "the object cannot be read"
        "The API server holds it in a form that is no object of its kind, or nests too deep. Its last good form stays in force; no other object is affected."
    TOO_MANY_OBJECTS "MS0110" Error "there are too many objects of a kind"
        "The object came when there were as many of its kind as the control plane holds. It is left out until some are removed and it is changed, or the control plane starts anew."

    UNKNOWN_FIELD "MS0201" Error "the field does not exist"
        "A misprint, or a field in the wrong place; the field that was probably meant is named. The object is refused, and its last good form stays in force: guessing could send traffic elsewhere."
    WRONG_TYPE "MS0202" Error "the value has the wrong type"
        "For example text where a number belongs. Quotes make text of a number, and `true` without quotes is not text."
    UNKNOWN_VALUE "MS0203" Error "the value is not one of those allowed"
        "The field knows only the values that are listed."
    MISSING_FIELD "MS0204" Error "a field is missing"
        "The object makes no sense without it. If the name turns up one level away, that place is named."
    UNKNOWN_KIND "MS0205" Warning "the kind is not known"
        "Mainsheet does nothing with objects of this kind. Often a misprint of `kind` or `apiVersion`."
    BAD_METADATA "MS0206" Error "the metadata is not valid"
        "Names and namespaces are DNS labels or names, as Kubernetes has it."
    DECLARED_TWICE "MS0207" Error "the object is declared twice"
        "The first one counts, in order of file path and place in the file; the other is not in force."
    UNKNOWN_METADATA "MS0208" Warning "the metadata field does not exist"
        "Kubernetes drops it without a word, and so does Mainsheet."
    UNKNOWN_OPTION "MS0209" Warning "the mesh option does not exist"
        "The option has no effect; all others are in force, since a mesh without its options would be worse."
    WRONG_NAMESPACE "MS0210" Warning "the object is in a namespace where it means nothing"
        "The configuration of the mesh is ConfigMap `istio` in the system namespace; elsewhere it is a ConfigMap like others."

    FIELD_NOT_IN_FORCE "MS0301" Warning "the field is not in force yet"
        "The field is known and correct, but Mainsheet does not act on it yet. The rest of the object is in force."
    KIND_NOT_IN_FORCE "MS0302" Warning "the kind is not in force yet"
        "Objects of this kind are known and accepted, but Mainsheet does not act on them yet."
    SECURITY_NOT_IN_FORCE "MS0303" Warning "a security rule is not enforced yet"
        "The object or field is known and accepted, but what it demands is NOT enforced yet, or not everywhere. Do not rely on it."
    PLAIN_KIND "MS0304" Info "the kind has no part in the mesh"
        "A Kubernetes kind that Mainsheet does not need to read."
    DEPRECATED "MS0305" Info "the field is deprecated"
        "It works, but has a newer spelling."
    OBJECT_NOT_SUPPORTED "MS0306" Error "the value is not supported yet"
        "The value is known and correct, but Mainsheet cannot do it yet, and doing something else in its place would be wrong. The object is refused."

    BAD_NAME "MS0401" Error "not a valid name"
        "Host names, namespaces, ports, headers and subsets have the letters that DNS, Kubernetes or HTTP allow."
    BAD_DURATION "MS0402" Error "not a valid duration"
        "Durations are written like `0.5s`, `250ms` or `1h30m`; some fields have a least or greatest value."
    BAD_PORT "MS0403" Error "not a valid port"
        "Ports are numbers from 1 to 65535, each once per service."
    BAD_PATTERN "MS0404" Error "not a valid regular expression"
        "RE2 syntax: no look-around and no back-references. Length and compiled size are limited, so that matching takes linear time."
    BAD_ADDRESS "MS0405" Error "not a valid address"
        "An IPv4 or IPv6 address, or a range in CIDR form where one is allowed."
    BAD_WEIGHT "MS0406" Error "the weights make no sense"
        "Of several destinations at least one needs a weight above zero; together they may not exceed 4294967295."
    BAD_PERCENT "MS0407" Error "not a valid percentage"
        "Percentages go from 0 to 100."
    BAD_STATUS "MS0408" Error "not a valid status code"
        "HTTP status codes of answers go from 200 to 599; redirects use 301, 302, 303, 307 or 308."
    CONFLICTING_FIELDS "MS0409" Error "fields exclude each other"
        "Only one of the fields may be given, or exactly one must be."
    DUPLICATE_NAME "MS0410" Error "a name is given twice"
        "Names in a list must differ: ports of a service, subsets of a rule."
    BAD_VALUE "MS0411" Error "the value is not valid"
        "The reason says what would be."

    UNKNOWN_HOST "MS0501" Warning "the host names nothing"
        "No Service or ServiceEntry has this name, so requests sent there are answered 503. A name without dots is completed with the namespace of the object that says it; a name with dots is taken as it is."
    UNKNOWN_SUBSET "MS0502" Warning "the subset names nothing"
        "No DestinationRule that holds for this host has such a subset, so requests sent there are answered 503."
    UNKNOWN_PORT "MS0503" Warning "the port names nothing"
        "The service has no such port, so requests sent there are answered 503."
    UNKNOWN_DELEGATE "MS0505" Warning "the delegate names nothing"
        "The rule is dropped, and requests go on to the next one."
    BAD_DELEGATE "MS0506" Error "the delegate cannot be delegated to"
        "A VirtualService that is delegated to has no hosts and does not delegate further."
    HOST_TAKEN "MS0507" Warning "another VirtualService has this host"
        "In the mesh only one VirtualService counts for a host, the oldest; nothing is merged."
    DUPLICATE_SUBSET "MS0508" Warning "another DestinationRule has this subset"
        "The subset of the older rule counts."
    RULE_NOT_APPLIED "MS0509" Warning "the DestinationRule is not applied"
        "A rule holds for callers in its own namespace, or for all when it is in the namespace of the service or in the system namespace."
    NO_ENDPOINTS "MS0510" Info "the service has no endpoints"
        "Requests are answered 503 until some pod is ready."
    SLICE_WITHOUT_SERVICE "MS0511" Info "the EndpointSlice belongs to no Service"
        "Its label `kubernetes.io/service-name` names no Service of its namespace."
    UNKNOWN_IMPORT "MS0512" Warning "the import matches nothing"
        "No service that can be seen has such a name, so the entry imports nothing."
    EMPTY_SUBSET "MS0513" Warning "the subset selects no endpoint"
        "No endpoint of the service has these labels, so requests for the subset are answered 503."
    UNKNOWN_RULE_HOST "MS0514" Warning "the DestinationRule is for a host that does not exist"
        "No Service or ServiceEntry has this name, so the rule has no effect."
    UNKNOWN_ROUTE_HOST "MS0515" Info "the VirtualService is for a host that does not exist"
        "No Service or ServiceEntry has this name. The rules hold for requests that name it on an HTTP port of another service, and for nothing else."
    NOT_EXPORTED "MS0516" Warning "the host cannot be seen from here"
        "The service exists, but its `exportTo` hides it from this namespace."
    POLICY_TAKEN "MS0517" Warning "another DestinationRule has the policy for this host"
        "Of several rules of a namespace for one host the subsets are joined, but the `trafficPolicy` is that of the oldest rule that has one; nothing else of the others' is in force."
    NAME_NOT_RESOLVED "MS0518" Warning "the name of an endpoint is not resolved"
        "A ServiceEntry with resolution STATIC takes addresses only, so that the WorkloadEntry that it selects is none of its endpoints."
    UNKNOWN_POD "MS0519" Warning "the EndpointSlice names a Pod that does not exist"
        "The endpoint takes requests, but has no labels and no identity: it belongs to no subset, and is spoken to in plain text."
    FOREIGN_POD "MS0520" Warning "the EndpointSlice names a Pod of another namespace"
        "Whoever may write slices in one namespace would give their endpoints the identity and labels of another's Pod. The endpoint takes requests, but has neither."
    ENDPOINTS_LEFT_OUT "MS0521" Warning "endpoints beyond the limit are left out"
        "Of the endpoints of a port only the first, in the order of addresses, get requests."
    PORTS_LEFT_OUT "MS0522" Warning "ports beyond the limit are left out"
        "Several ServiceEntries of one host make one service, and together have more ports than a service can. Those of the oldest count."
    AUTHENTICATION_NOT_APPLIED "MS0523" Warning "the PeerAuthentication is not applied"
        "For each workload, namespace and mesh the oldest counts alone. In the system namespace they are for the whole mesh and select no workloads."

    UNREACHABLE_RULE "MS0601" Warning "the rule is never reached"
        "An earlier rule matches every request; the first match wins."
    LOOSE_PREFIX "MS0602" Info "the prefix matches more than a path"
        "Prefixes compare strings, not path segments: `/a/b` matches `/a/bc`, and a rewrite then makes the rest of the path stick to the new prefix."
    FAULT_NEVER_FIRES "MS0603" Warning "the fault never fires"
        "A fault without a percentage happens to no request."
    HALF_QUALIFIED_HOST "MS0604" Warning "the host is neither short nor complete"
        "`web.default` is not completed as `web` is: it is a name of its own, and no Service has it."
    CASE_OF_PATTERN "MS0605" Warning "the pattern minds the case of letters"
        "`ignoreUriCase` does nothing for a regular expression; write `(?i)` at its beginning."
    ACTION_IGNORES "MS0606" Warning "the field has no effect here"
        "Redirects and direct responses are made by the proxy itself: faults, retries, timeouts, mirrors and weights do not take part."
    HEADER_NO_EFFECT "MS0607" Warning "the header change has no effect"
        "Removing `host` and setting pseudo headers such as `:path` do nothing; an empty value adds no header."
    AUTHORITY_FORM "MS0608" Info "the authority is compared as it was sent"
        "With its port, and minding the case of letters: `web` does not match `web:80` or `WEB`."
    DROPPED_DESTINATION "MS0609" Info "the destination gets no requests"
        "Its weight is zero, and others have weights."
    LATER_EGRESS "MS0610" Warning "only the first egress entry without a port counts"
        "Hosts of later entries without a port are not imported; put all hosts into one entry."
    SPLIT_SUM "MS0611" Info "the weights do not add up to 100"
        "Weights are relative, so this works; it may not be the split that was meant."
    SHORT_TIMEOUT "MS0612" Warning "the timeout is shorter than a try"
        "The timeout is for all tries together, so that no try is ever ended by `perTryTimeout`, and none is made after it."
    ROUTES_LEFT_OUT "MS0613" Warning "routes beyond the limit are left out"
        "Each match of a rule makes a route, each match of a delegate one for each match that delegates to it. Requests for those left out are handled as if no rule matched."
    WARMUP_IGNORED "MS0614" Warning "endpoints are not warmed up"
        "Envoy warms endpoints up only where they are chosen in turn or by least requests."
    BEYOND_RANGE "MS0615" Warning "the value is beyond what the system takes"
        "The nearest value that it takes is in force."
    DOES_NOTHING "MS0616" Warning "the field does nothing here"
        "Another field that it belongs to is missing, or what it says is said already."
}

/// The table as a page of the documentation.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Problems\n\n\
        Whatever is wrong with an object is said with a code that does not change its meaning. `mainsheet analyze` prints\n\
        them for files, the log and the status of objects show them for a running control plane.\n\n\
        An *error* means that the object or document is not in force in the form given: the last good form that was read since\n\
        the control plane started stays. After a start with a broken file there is none, and the log says `in_force=false`.\n\
        A *warning* means that it is in force, but probably not as was meant. *info* is worth knowing.\n\n\
        | code | severity | problem | what it means |\n|---|---|---|---|\n",
    );
    for Code { id, severity, title, about } in TABLE {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| {id} | {severity} | {title} | {about} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_none_is_used_twice() {
        assert!(TABLE.windows(2).all(|pair| pair[0].id < pair[1].id));
    }
}
