//! What is printed, in every form.

use super::*;

const FILES: &str = "\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  ports: [{port: 80, name: http}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews, subset: v1}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: \"a<b\"}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {hosts: reviews}
";

fn problems() -> (tempfile::TempDir, Vec<Problem>) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a b.yaml"), FILES).unwrap();
    let mut problems = analyze(&[directory.path().to_owned()], &Settings::default());
    for location in problems.iter_mut().filter_map(|problem| problem.location.as_mut()) {
        location.file = "a b.yaml".into();
    }
    (directory, problems)
}

#[test]
fn a_table_has_a_line_for_each_problem() {
    let (_directory, problems) = problems();
    let table = table::write(&problems, true, false);
    let lines: Vec<String> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "SEVERITY CODE WHERE OBJECT FIELD PROBLEM",
            "warning MS0502 a b.yaml:14:36 VirtualService default/reviews spec.http[0].route[0].destination.subset no \
             DestinationRule declares a subset v1 of reviews.default.svc.cluster.local; declare it in a DestinationRule",
            "warning MS0303 a b.yaml:16:1 RequestAuthentication a<b - is NOT enforced yet: tokens are not checked",
            "error MS0201 a b.yaml:23:8 DestinationRule default/reviews spec.hosts unknown field; did you mean spec.host?",
        ]
    );
    assert!(table::write(&problems, false, true).starts_with("\u{1b}[33mwarning\u{1b}[0m "));
    assert_eq!(table::write(&[], true, false), "");
}

#[test]
fn json_is_versioned_and_complete() {
    let (_directory, problems) = problems();
    let json = to_json(&problems);
    assert_eq!((&json["apiVersion"], &json["kind"]), (&json!("mainsheet.dev/v1"), &json!("ProblemList")));
    assert_eq!(
        json["items"][2],
        json!({
            "severity": "error", "code": "MS0201", "object": "DestinationRule default/reviews", "field": "spec.hosts",
            "location": {"file": "a b.yaml", "line": 23, "column": 8},
            "reason": "unknown field", "remedy": "did you mean spec.host?",
        })
    );
}

#[test]
fn sarif_names_rules_and_places() {
    let (_directory, problems) = problems();
    let sarif = sarif::write(&problems);
    let run = &sarif["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), 3);
    assert_eq!(run["results"][2]["ruleId"], "MS0201");
    assert_eq!(
        run["results"][2]["locations"][0]["physicalLocation"],
        json!({"artifactLocation": {"uri": "a%20b.yaml"}, "region": {"startLine": 23, "startColumn": 8}})
    );
}

#[test]
fn junit_fails_what_the_severity_asks_for() {
    let (_directory, problems) = problems();
    let xml = junit::write(&problems, |severity| Level::Error.holds(severity));
    assert!(xml.contains("<testsuites tests=\"3\" failures=\"1\">"), "{xml}");
    assert!(xml.contains("RequestAuthentication a&lt;b"), "{xml}");
    assert_eq!(xml.matches("<failure").count(), 1);
    let xml = junit::write(&problems, |severity| Level::Warning.holds(severity));
    assert_eq!(xml.matches("<failure").count(), 3);
    assert!(junit::write(&[], |_| true).contains("no problems"));
}

#[test]
fn the_summary_counts() {
    let (_directory, problems) = problems();
    assert_eq!(summary(&problems, "a"), "1 error, 2 warnings");
    assert_eq!(summary(&[], "a"), "no problems in a");
}
