//! Documents become objects, or say why they do not.

mod kinds;
mod refusals;
mod robust;

use super::*;

fn reading(text: &str) -> Reading {
    read(text, &Arc::from("a.yaml"), &Settings::default())
}

fn problems(text: &str) -> Vec<String> {
    reading(text).problems.iter().map(ToString::to_string).collect()
}

const MISPRINTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/document/misprints");

fn misprint(name: &str) -> Vec<String> {
    problems(&std::fs::read_to_string(format!("{MISPRINTS}/{name}")).unwrap())
}

#[test]
fn a_weight_under_its_destination_is_sent_up() {
    assert_eq!(
        misprint("canary-90-10-misplaced-weight.yaml"),
        [
            "error: VirtualService default/reviews: spec.http[0].route[0].destination.weight: unknown field \
             (did you mean spec.http[0].route[0].weight?) [a.yaml:15:13]",
            "error: VirtualService default/reviews: spec.http[0].route[1].destination.weight: unknown field \
             (did you mean spec.http[0].route[1].weight?) [a.yaml:19:13]",
        ]
    );
    assert_eq!(
        misprint("canary-50-50-misplaced-weight.yaml"),
        [
            "error: VirtualService default/reviews: spec.http[0].route[0].destination.weight: unknown field \
             (did you mean spec.http[0].route[0].weight?) [a.yaml:14:13]",
            "error: VirtualService default/reviews: spec.http[0].route[1].destination.weight: unknown field \
             (did you mean spec.http[0].route[1].weight?) [a.yaml:18:13]",
        ]
    );
}

#[test]
fn a_timeout_in_a_destination_is_sent_to_its_rule() {
    assert_eq!(
        misprint("reviews-timeout-misplaced.yaml"),
        ["error: VirtualService default/reviews: spec.http[0].route[0].timeout: unknown field \
          (did you mean spec.http[0].timeout?) [a.yaml:13:9]"]
    );
}

#[test]
fn a_subset_name_among_the_labels_is_sent_up() {
    assert_eq!(
        misprint("auth-canary-subsets-misplaced-name.yaml"),
        [
            "error: DestinationRule default/auth-canary-dr: spec.subsets[0].labels.name: the field \
             spec.subsets[0].name is missing, and stands among the labels instead \
             (did you mean spec.subsets[0].name?) [a.yaml:11:9]",
            "error: DestinationRule default/auth-canary-dr: spec.subsets[1].labels.name: the field \
             spec.subsets[1].name is missing, and stands among the labels instead \
             (did you mean spec.subsets[1].name?) [a.yaml:14:9]",
        ]
    );
}
