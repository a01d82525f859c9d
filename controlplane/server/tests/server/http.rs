//! The pages, asked without a socket.

use std::sync::Arc;

use ::http::{Request, StatusCode};
use axum::{Router, body::Body};
use http_body_util::BodyExt as _;
use mainsheet::{
    ads::Proxies,
    dispatch::{self, Handle},
    http::{Sources, health, router},
    metrics::Metrics,
    source,
};
use mesh::model::{Problem, Severity};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt as _;

const OBJECTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}}]
";

struct House {
    router: Router,
    dispatch: Handle,
    problems: watch::Sender<Arc<Vec<Problem>>>,
}

fn house() -> House {
    let metrics = Arc::new(Metrics::new("1.2.3"));
    let dispatch = dispatch::start(Arc::clone(&metrics)).unwrap();
    let (problems, reported) = watch::channel(Arc::new(Vec::new()));
    let router = router(Sources {
        dispatch: dispatch.clone(),
        proxies: Arc::new(Proxies::default()),
        metrics,
        problems: reported,
        version: "1.2.3",
    });
    House { router, dispatch, problems }
}

impl House {
    async fn fill(&mut self) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mesh.yaml");
        std::fs::write(&path, OBJECTS).unwrap();
        let update = source::load(&[path], &source::Settings::default());
        self.dispatch.apply(update.changes, std::time::Instant::now()).await.unwrap();
        while !self.dispatch.view().ready {
            self.dispatch.changed().await.unwrap();
        }
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn it_is_alive_before_it_is_ready() {
    let mut house = house();
    assert_eq!(house.get("/livez").await.0, StatusCode::OK);
    let (status, text) = house.get("/readyz?verbose").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("[-] configuration failed"), "{text}");
    house.fill().await;
    assert_eq!(house.get("/readyz").await, (StatusCode::OK, "ready\n".into()));
    assert!(house.get("/ready?verbose").await.1.contains("[+] configuration ok"));
}

#[tokio::test]
async fn probes_see_health_and_nothing_of_the_mesh() {
    let mut house = house();
    house.fill().await;
    house.router = health(house.dispatch.clone());
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(house.get(path).await.0, StatusCode::OK, "{path}");
    }
    for path in ["/metrics", "/version", "/debug", "/debug/configz", "/debug/registryz", "/"] {
        assert_eq!(house.get(path).await, (StatusCode::NOT_FOUND, String::new()), "{path}");
    }
}

#[tokio::test]
async fn the_mesh_can_be_seen() {
    let mut house = house();
    house.fill().await;
    let (_, services) = house.get("/debug/registryz").await;
    let services: Value = serde_json::from_str(&services).unwrap();
    assert_eq!(services[0]["hostname"], "web.shop.svc.cluster.local");
    assert_eq!(services[0]["ports"][0]["protocol"], "HTTP");
    let (_, endpoints) = house.get("/debug/endpointz").await;
    let endpoints: Value = serde_json::from_str(&endpoints).unwrap();
    assert_eq!(endpoints[0]["endpoints"][0]["address"], "10.1.0.1:8080");
    let (_, objects) = house.get("/debug/configz").await;
    assert!(objects.contains("mesh.yaml:2:1"), "{objects}");
    let (_, status) = house.get("/debug/push_status").await;
    assert_eq!(serde_json::from_str::<Value>(&status).unwrap()["pushes"], 1);
    assert_eq!(house.get("/debug/syncz").await, (StatusCode::OK, "[]".into()));
    assert!(house.get("/metrics").await.1.contains("pilot_services 1"));
    assert_eq!(house.get("/version").await.1, "1.2.3-mainsheet-Clean");
}

#[tokio::test]
async fn problems_are_shown_as_they_stand() {
    let house = house();
    assert_eq!(house.get("/debug/problems").await.1, "[]");
    let problem = Problem {
        severity: Severity::Warning,
        code: "MS0000",
        object: "Service shop/web".into(),
        field: "spec".into(),
        location: None,
        reason: "is odd".into(),
        remedy: "mend it".into(),
    };
    house.problems.send_replace(Arc::new(vec![problem]));
    assert!(house.get("/debug/problems").await.1.contains("\"reason\":\"is odd\""));
}

#[tokio::test]
async fn a_wrong_question_is_answered_with_the_right_one() {
    let house = house();
    for (path, status, remedy) in [
        ("/debug/nothing", StatusCode::NOT_FOUND, "/debug/list"),
        ("/debug/config_dump", StatusCode::BAD_REQUEST, "?proxyID="),
        ("/debug/config_dump?proxyID=web.shop", StatusCode::NOT_FOUND, "/debug/syncz"),
    ] {
        let (found, text) = house.get(path).await;
        assert_eq!(found, status);
        assert!(text.contains(remedy), "{text}");
    }
    for line in house.get("/debug/list").await.1.lines() {
        let page = line.split(':').next().unwrap();
        assert_ne!(house.get(page).await.1, "no such page; /debug/list shows those there are\n", "{page}");
    }
}
