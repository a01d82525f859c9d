//! Whatever is written, reading ends soon and says something.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Far above what any of this takes on an idle machine, and far below what a cost that grows with the square would.
const BOUND: Duration = Duration::from_secs(60);

fn bounded(text: &str) -> Reading {
    let start = Instant::now();
    let reading = reading(text);
    assert!(start.elapsed() < BOUND, "took {:?} for {} bytes", start.elapsed(), text.len());
    reading
}

const OBJECTS: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - match:
    - uri: {prefix: /a}
      headers: {end-user: {exact: jason}}
    route:
    - destination: {host: reviews, subset: v1, port: {number: 80}}
      weight: 90
    - destination: {host: reviews, subset: v2}
      weight: 10
    timeout: 0.5s
    retries: {attempts: 3, retryOn: 5xx}
    fault: {delay: {fixedDelay: 1s, percentage: {value: 10}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 1}}}
  subsets: [{name: v1, labels: {version: v1}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    connectTimeout: 3s
---
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {ports: [{port: 80, name: http}], selector: {app: reviews}}
";

/// Things that are put in the place of a value.
const ODD: [&str; 20] = [
    "1",
    "-1",
    "1e999",
    ".nan",
    "99999999999999999999999",
    "true",
    "null",
    "[]",
    "{}",
    "''",
    "\"\\u0000\"",
    "[[[[]]]]",
    "{a: {b: {c: d}}}",
    "*x",
    "&x y",
    "!!str 1",
    "- a",
    "0x7fffffffffffffff",
    "'%'",
    "ü",
];

proptest! {
    #[test]
    fn mutated_objects_never_panic(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_usize..4), 1..6)
    ) {
        let mut text = OBJECTS.to_owned();
        for (at, what, how) in cuts {
            let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
            if places.is_empty() {
                break;
            }
            let place = places[at.index(places.len())];
            match how {
                0 => { text.remove(place); }
                1 => text.insert_str(place, ODD[what.index(ODD.len())]),
                2 => text.truncate(place),
                _ => {
                    let end = text[place..].find(['\n', ',', '}']).map_or(text.len(), |end| place + end);
                    text.replace_range(place..end, ODD[what.index(ODD.len())]);
                }
            }
        }
        bounded(&text);
    }

    #[test]
    fn values_replaced_at_any_field_never_panic(line in any::<prop::sample::Index>(), odd in any::<prop::sample::Index>()) {
        let mut lines: Vec<String> = OBJECTS.lines().map(str::to_owned).collect();
        let place = line.index(lines.len());
        if let Some((key, _)) = lines[place].clone().split_once(':') {
            lines[place] = format!("{key}: {}", ODD[odd.index(ODD.len())]);
        }
        bounded(&lines.join("\n"));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,300}") {
        bounded(&text);
    }
}

#[test]
fn a_reading_of_the_same_text_is_the_same() {
    let shown = |reading: &Reading| format!("{reading:?}");
    assert_eq!(shown(&reading(OBJECTS)), shown(&reading(OBJECTS)));
    assert_eq!(reading(OBJECTS).items.iter().filter(|item| item.content.is_some()).count(), 4);
}

#[test]
fn an_object_as_large_as_etcd_takes_is_read_in_bounded_time() {
    let rule = "  - match: [{uri: {prefix: /abcdefgh}, headers: {a: {exact: b}}}]\n    route: [{destination: {host: reviews}}]\n";
    let head = OBJECTS.split("  http:").next().unwrap();
    let text = format!("{head}  http:\n{}", rule.repeat(4096));
    let large = bounded(&text);
    assert!(large.items[0].content.is_some(), "{:?}", large.problems);
    let text = format!("{head}  http:\n{}", rule.repeat(1_500_000 / rule.len()));
    let too_large = bounded(&text);
    assert!(too_large.items[0].content.is_none());
    assert!(too_large.problems.iter().any(|p| p.code == "MS0107"), "{:?}", too_large.problems.first());
}

#[test]
fn a_pattern_of_ten_megabytes_is_refused() {
    let head = OBJECTS.split("  http:").next().unwrap();
    let text = format!(
        "{head}  http:\n  - match: [{{uri: {{regex: '{}'}}}}]\n    route: [{{destination: {{host: a}}}}]\n",
        "a".repeat(10_000_000)
    );
    let reading = bounded(&text);
    assert!(
        reading.problems.iter().any(|p| p.code == "MS0107" && p.field.ends_with("regex")),
        "{:?}",
        reading.problems
    );
}

#[test]
fn every_problem_ends_as_one_short_line() {
    let long = "x".repeat(100_000);
    for text in [
        format!("apiVersion: v1\nkind: {long}\nmetadata: {{name: {long}}}\n"),
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{{long}: 1, clusterIP: \"a\\nb\"}}\n"),
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec: {{hosts: [{long}], http: [{{timeout: {long}}}]}}\n"
        ),
    ] {
        for problem in bounded(&text).problems {
            let shown = problem.to_string();
            assert!(
                shown.len() < 2000 && !shown.contains('\n'),
                "{} bytes: {}",
                shown.len(),
                shown.get(..200).unwrap_or(&shown)
            );
        }
    }
}

#[test]
fn a_text_that_is_cut_anywhere_in_its_last_object_is_not_taken_for_whole() {
    let last = [
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: reviews\nspec:\n  ports:\n  - port: 80\n",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: reviews\nspec:\n  hosts:\n  - a\n",
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: reviews\nspec:\n  host: a\n",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: reviews\n  spec:\n    ports:\n    - port: 80\n",
    ];
    for last in last {
        let whole = format!("{OBJECTS}---\n{last}");
        let declared = |text: &str| {
            let reading = reading(text);
            (reading.items.into_iter().map(|item| item.id).collect::<Vec<_>>(), reading.unreadable)
        };
        let (ids, unreadable) = declared(&whole);
        assert!(ids.len() == 5 && !unreadable, "{ids:?}");
        for end in whole.len() - last.len() + 1..whole.len() {
            let text = &whole[..end];
            let (found, unreadable) = declared(text);
            assert!(found == ids || unreadable, "cut after {:?}", &text[whole.len() - last.len()..]);
        }
    }
}

#[test]
fn a_kind_that_is_not_known_keeps_nothing_in_force_where_a_text_is_whole() {
    let whole = "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: web}\nspec: {secretName: web}\n";
    assert!(!reading(whole).unreadable);
    assert!(!reading("apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n").unreadable);
}
