//! The field that was meant is named.

use super::*;
use crate::source::{
    wire::{destination_rule::DestinationRuleSpec, virtual_service::VirtualServiceSpec},
    yaml,
};

fn findings<T: schemars::JsonSchema>(text: &str) -> Vec<String> {
    let documents = yaml::parse(text);
    let root = documents[0].root.as_ref().unwrap();
    let mut findings = Findings::default();
    check(&Schema::of_object::<T>(), root, Path::root(), Unknown::Refuse, &mut findings);
    findings
        .into_list()
        .into_iter()
        .map(|f| format!("{} {}: {}; {} [{}]", f.code.id, f.path, f.reason, f.remedy, f.path.locate(root).line))
        .collect()
}

fn route(text: &str) -> Vec<String> {
    findings::<VirtualServiceSpec>(text)
}

#[test]
fn a_field_too_deep_is_sent_up() {
    assert_eq!(
        route(
            "metadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n  - route:\n    - destination:\n        host: a\n        weight: 3\n"
        ),
        [
            "MS0201 spec.http[0].route[0].destination.weight: unknown field; did you mean spec.http[0].route[0].weight? [8]"
        ]
    );
}

#[test]
fn a_field_too_high_is_sent_down() {
    assert_eq!(
        route(
            "metadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n  - route:\n    - {destination: {host: a}, subset: v1}\n"
        ),
        [
            "MS0201 spec.http[0].route[0].subset: unknown field; did you mean spec.http[0].route[0].destination.subset? [6]"
        ]
    );
    assert_eq!(
        route("metadata: {name: a}\nhosts: [a]\nspec: {http: []}\n"),
        ["MS0201 hosts: unknown field; did you mean spec.hosts? [2]"]
    );
}

#[test]
fn a_misprint_is_spelt_right() {
    assert_eq!(
        route("metadata: {name: a}\nspec:\n  host: [a]\n  http: [{route: [{destinaton: {host: a}}]}]\n"),
        [
            "MS0201 spec.host: unknown field; did you mean spec.hosts? [3]",
            "MS0201 spec.http[0].route[0].destinaton: unknown field; did you mean spec.http[0].route[0].destination? [4]",
        ]
    );
    assert_eq!(
        route("metadata: {name: a}\nspec: {http: [{cors_policy: {}}]}\n"),
        ["MS0201 spec.http[0].cors_policy: unknown field; did you mean spec.http[0].corsPolicy? [2]"]
    );
}

#[test]
fn a_name_among_the_labels_is_sent_up() {
    assert_eq!(
        findings::<DestinationRuleSpec>(
            "metadata: {name: a}\nspec:\n  host: a\n  subsets:\n  - labels:\n      version: a\n      name: b\n"
        ),
        ["MS0204 spec.subsets[0].labels.name: the field spec.subsets[0].name is missing, and stands among the labels \
          instead; did you mean spec.subsets[0].name? [7]"]
    );
}

#[test]
fn wrong_types_and_values_are_named() {
    let all = route(
        "metadata: {name: a, labels: {v: 1}, lables: {}}\nspec:\n  hosts: a\n  http:\n  - timeout: 5\n    match: \n      uri: {}\n    retries: {attempts: \"3\"}\n    redirect: {derivePort: FROM_REQUESTPORT, redirectCode: -1}\n    corsPolicy: {allowCredentials: yes}\n",
    );
    for expected in [
        "MS0202 metadata.labels.v: expected text, found the number 1; write it in quotes: \"1\" [1]",
        "MS0202 spec.hosts: expected a list, found the text \"a\"; write it as an item of a list, behind `- ` [3]",
        "MS0202 spec.http[0].timeout: expected a duration, found the number 5; say the unit: 5s [5]",
        "MS0202 spec.http[0].match: expected a list, found a mapping; write it as an item of a list, behind `- ` [6]",
        "MS0202 spec.http[0].retries.attempts: expected a whole number, found the text \"3\"; remove the quotes [8]",
        "MS0203 spec.http[0].redirect.derivePort: \"FROM_REQUESTPORT\" is not one of the values allowed; did you mean FROM_REQUEST_PORT? [9]",
        "MS0202 spec.http[0].redirect.redirectCode: expected a whole number from 0 to 4294967295, found -1;  [9]",
        "MS0202 spec.http[0].corsPolicy.allowCredentials: expected true or false, found the text \"yes\"; write true, without quotes [10]",
    ] {
        assert!(all.iter().any(|found| found == expected), "{expected}\nis not in\n{}", all.join("\n"));
    }
    assert!(all.iter().any(|found| found.starts_with("MS0208 metadata.lables")), "{all:?}");
    assert_eq!(all.len(), 9, "{all:?}");
}
