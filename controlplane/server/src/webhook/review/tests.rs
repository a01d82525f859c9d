//! Verdicts on objects that are right, wrong, or none of our business.

use mesh::store::Store;

use super::*;
use crate::source::finding::FINDINGS_MAX;

fn judged(operation: &str, object: Json, mesh: Option<&Mesh>) -> Verdict {
    let mut request: Request =
        serde_json::from_value(json!({"uid": "1", "operation": operation, "object": object})).unwrap();
    match Judged::of(&mut request) {
        Some((judged, object)) => review(object, &judged, mesh, &Settings::default()),
        None => Verdict::default(),
    }
}

fn route(spec: Json) -> Json {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "shop", "managedFields": [{"manager": "kubectl"}]},
        "spec": spec,
    })
}

fn to(host: &str) -> Json {
    json!({"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": host}}]}]})
}

#[test]
fn an_error_refuses_with_field_reason_and_remedy() {
    let misplaced =
        json!({"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "weight": 90}}]}]});
    let verdict = judged("CREATE", route(misplaced), None);
    let message = verdict.refusal.unwrap();
    assert!(message.contains("VirtualService shop/reviews: spec.http[0].route[0].destination.weight: "), "{message}");
    assert!(message.contains("(did you mean"), "{message}");
    assert_eq!(verdict.resource, Some("virtualservices"));
}

#[test]
fn what_the_mesh_does_not_have_is_a_warning_once_the_mesh_is_known() {
    let mut store = Store::new();
    let unknown = judged("UPDATE", route(to("nowhere")), None);
    assert_eq!(unknown, Verdict { resource: Some("virtualservices"), ..Verdict::default() });
    let known = judged("UPDATE", route(to("nowhere")), Some(store.mesh()));
    assert_eq!(known.refusal, None);
    assert!(
        known.warnings.iter().any(|warning| warning.contains("spec.http[0].route[0].destination.host: ")),
        "{known:?}"
    );
    // Of the same object as it is there nothing is said, nor of others.
    let reading = document::read_object(&Node::from_json(route(to("elsewhere"))), &Settings::default());
    store.apply(reading.items.into_iter().filter_map(|item| Some(item.content?.into_change())).collect());
    assert_eq!(judged("UPDATE", route(to("nowhere")), Some(store.mesh())), known);
}

#[test]
fn what_is_not_judged_passes() {
    let bad = || route(json!({"hosts": 7}));
    assert!(judged("CREATE", bad(), None).refusal.is_some());
    let mut deleted = bad();
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut other_group = bad();
    other_group["apiVersion"] = "networking.example.com/v1".into();
    let mut other_version = bad();
    other_version["apiVersion"] = "networking.istio.io/v9".into();
    for (operation, object) in [
        ("DELETE", bad()),
        ("CONNECT", bad()),
        ("UPDATE", deleted),
        ("CREATE", other_group),
        ("CREATE", other_version),
        ("CREATE", Json::Null),
        ("CREATE", json!([])),
        ("CREATE", json!({"apiVersion": 1, "kind": {}})),
    ] {
        assert_eq!(judged(operation, object.clone(), None), Verdict::default(), "{operation} {object}");
    }
}

#[test]
fn answers_are_bounded_whatever_is_wrong() {
    let unknown: serde_json::Map<_, _> =
        (0..2 * FINDINGS_MAX).map(|number| (format!("{number}{}\n", "x".repeat(1000)), 1.into())).collect();
    let message = judged("CREATE", route(unknown.into()), None).refusal.unwrap();
    assert!(message.len() < 40_000 && !message.contains('\n'), "{}", message.len());
    assert!(message.contains("more: mainsheet analyze shows all"));
    let store = Store::new();
    let routes: Vec<Json> = (0..500)
        .map(|number| json!({"name": "é".repeat(300), "route": [{"destination": {"host": format!("{number}-{}", "x".repeat(50))}}]}))
        .collect();
    let verdict = judged("CREATE", route(json!({"hosts": ["reviews"], "http": routes})), Some(store.mesh()));
    let lens: Vec<usize> = verdict.warnings.iter().map(|warning| warning.chars().count()).collect();
    assert!(lens.len() > 5 && lens.iter().all(|len| *len <= WARNING_LEN_MAX), "{lens:?}");
    assert!(lens.iter().sum::<usize>() <= WARNINGS_LEN_MAX, "{lens:?}");
}
