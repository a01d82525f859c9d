//! Where a request goes by what it says: header, path, method; and what is changed on the way.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use integration::{
    app::Recorded,
    client::{self, Call},
    envoy::Protocol,
    manifest::{destination_rule, virtual_service},
    mesh::Mesh,
    scenario::Scenario,
    wait,
};

const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15";
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36";

fn to(subset: &str) -> String {
    format!("route: [{{destination: {{host: reviews, subset: {subset}}}}}]")
}

/// A scenario of three versions, with the rules given in turn.
fn routed(name: &str, rules: &[&str]) -> Scenario {
    Scenario::reviews(name, &VERSIONS)
        .file("rule.yaml", destination_rule("reviews", &VERSIONS, ""))
        .file("route.yaml", virtual_service("reviews", rules))
}

fn get(path: &str) -> Call {
    Call::get("reviews:9080", path)
}

async fn ensure_answered_by(mesh: &Mesh, version: &str, calls: &[Call]) -> Result<()> {
    for call in calls {
        mesh.run(call, 10).await?.ensure_only(version).with_context(|| format!("{call:?}"))?;
    }
    Ok(())
}

fn last_request(mesh: &Mesh, pod: &str) -> Result<Recorded> {
    mesh.app(pod)?.recorded().pop().with_context(|| format!("{pod} was not asked"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn iphones_go_to_the_test_version_and_androids_to_the_stable_one() -> Result<()> {
    let name = "iphones_go_to_the_test_version_and_androids_to_the_stable_one";
    let agent = |regex: &str, subset: &str| {
        format!("match:\n- headers: {{user-agent: {{regex: \".*{regex}.*\"}}}}\n{}", to(subset))
    };
    let rules = [agent("iPhone", "v2"), agent("Android", "v1"), to("v3")];
    let rules = rules.each_ref().map(String::as_str);
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        Scenario::new(name)
            .service("reviews", 9080, &VERSIONS)
            .caller_by("productpage-v1", protocol)
            .file("rule.yaml", destination_rule("reviews", &VERSIONS, ""))
            .file("route.yaml", virtual_service("reviews", &rules))
            .run(async |mesh| {
                ensure_answered_by(mesh, "v2", &[get("/").header("user-agent", IPHONE)]).await?;
                ensure_answered_by(mesh, "v1", &[get("/").header("user-agent", ANDROID)]).await?;
                ensure_answered_by(mesh, "v3", &[get("/"), get("/").header("user-agent", "curl/8")]).await
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_match_exactly_by_prefix_by_presence_and_by_absence() -> Result<()> {
    let matched = |condition: &str, subset: &str| format!("match:\n- {condition}\n{}", to(subset));
    let rules = [
        matched("headers: {end-user: {exact: jason}}", "v2"),
        matched("headers: {cookie: {prefix: group=test}}", "v2"),
        matched("headers: {x-beta: {}}", "v2"),
        matched("withoutHeaders: {x-known: {}}", "v3"),
        to("v1"),
    ];
    routed("headers_match_exactly_by_prefix_by_presence_and_by_absence", &rules.each_ref().map(String::as_str))
        .run(async |mesh| {
            let known = get("/").header("x-known", "1");
            let tests = [("end-user", "jason"), ("cookie", "group=test; a=b"), ("x-beta", "on")];
            let tests = tests.map(|(name, value)| known.clone().header(name, value));
            ensure_answered_by(mesh, "v2", &tests).await?;
            ensure_answered_by(mesh, "v3", &[get("/"), get("/").header("end-user", "jasons")]).await?;
            ensure_answered_by(mesh, "v1", &[known.clone(), known.header("end-user", "Jason")]).await
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_match_exactly_by_prefix_and_by_regular_expression() -> Result<()> {
    let matched = |condition: &str, subset: &str| format!("match:\n- uri: {condition}\n{}", to(subset));
    let rules = [
        matched("{exact: /login}", "v1"),
        matched("{prefix: /api/v2}", "v2"),
        matched("{regex: \"/item/[0-9]+\"}", "v3"),
    ];
    routed("paths_match_exactly_by_prefix_and_by_regular_expression", &rules.each_ref().map(String::as_str))
        .run(async |mesh| {
            ensure_answered_by(mesh, "v1", &[get("/login"), get("/login?next=/")]).await?;
            ensure_answered_by(mesh, "v2", &[get("/api/v2"), get("/api/v2/users"), get("/api/x/../v2/users")]).await?;
            ensure_answered_by(mesh, "v3", &[get("/item/17")]).await?;
            for path in ["/", "/login/", "/item/x", "/item/1/2"] {
                let answer = mesh.send(&get(path)).await?;
                ensure!((answer.status.as_u16(), answer.body.len()) == (404, 0), "{path}: {}", answer.status);
            }
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_and_query_parameters_choose_the_version() -> Result<()> {
    let writes = format!("match:\n- method: {{exact: POST}}\n- method: {{exact: PUT}}\n{}", to("v2"));
    let queries = format!("match:\n- queryParams: {{preview: {{exact: \"yes\"}}}}\n{}", to("v3"));
    routed("methods_and_query_parameters_choose_the_version", &[&writes, &queries, &to("v1")])
        .run(async |mesh| {
            let posts = [Method::POST, Method::PUT].map(|method| get("/").method(method).body("{}"));
            ensure_answered_by(mesh, "v2", &posts).await?;
            ensure_answered_by(mesh, "v3", &[get("/?preview=yes")]).await?;
            ensure_answered_by(mesh, "v1", &[get("/"), get("/?preview=no"), get("/").method(Method::DELETE)]).await
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_gets_a_copy_of_each_request_and_its_answers_are_dropped() -> Result<()> {
    let mirrored = format!("{}\nmirror: {{host: reviews, subset: v2}}\nmirrorPercentage: {{value: 100}}", to("v1"));
    routed("a_mirror_gets_a_copy_of_each_request_and_its_answers_are_dropped", &[&mirrored])
        .run(async |mesh| {
            mesh.run(&get("/seen?by=both"), 100).await?.ensure_only("v1")?;
            let (real, copy) = (mesh.app("reviews-v1")?, mesh.app("reviews-v2")?);
            wait::until("the last copy", async || {
                ensure!(copy.requests() == 100, "{} copies", copy.requests());
                Ok(())
            })
            .await?;
            ensure!(
                real.requests() == 100 && mesh.app("reviews-v3")?.requests() == 0,
                "more than the mirror was asked"
            );
            ensure!(last_request(mesh, "reviews-v2")?.path == "/seen?by=both");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_names_the_new_place_and_reaches_no_application() -> Result<()> {
    let rule = "match:\n- uri: {prefix: /old}\nredirect: {uri: /new, authority: books.example, redirectCode: 302}";
    routed("a_redirect_names_the_new_place_and_reaches_no_application", &[rule, &to("v1")])
        .run(async |mesh| {
            let answer = mesh.send(&get("/old/page")).await?;
            let seen = (answer.status.as_u16(), answer.header("location").to_owned());
            ensure!(seen == (302, "http://books.example/new".to_owned()), "{seen:?}");
            ensure!(mesh.app("reviews-v1")?.requests() == 0);
            ensure_answered_by(mesh, "v1", &[get("/new")]).await
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrite_changes_the_path_and_the_host_that_the_application_sees() -> Result<()> {
    let prefix = "match:\n- uri: {prefix: /shop/}\nrewrite: {uri: /, authority: inner.example}";
    let regex = "match:\n- uri: {prefix: /user/}\nrewrite:\n  uriRegexRewrite: {match: \"/user/([0-9]+)\", rewrite: '/people?id=\\1'}";
    let (prefix, regex) = (format!("{prefix}\n{}", to("v1")), format!("{regex}\n{}", to("v1")));
    routed("a_rewrite_changes_the_path_and_the_host_that_the_application_sees", &[&prefix, &regex])
        .run(async |mesh| {
            ensure_answered_by(mesh, "v1", &[get("/shop/cart?x=1")]).await?;
            let seen = last_request(mesh, "reviews-v1")?;
            let host = seen.headers.get("host").cloned().unwrap_or_default();
            ensure!((seen.path.as_str(), host.as_str()) == ("/cart?x=1", "inner.example"), "{seen:?}");
            ensure_answered_by(mesh, "v1", &[get("/user/42")]).await?;
            let seen = last_request(mesh, "reviews-v1")?;
            ensure!(seen.path == "/people?id=42", "{seen:?}");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_set_added_and_removed_in_both_directions() -> Result<()> {
    let rule = format!(
        "headers:\n  request: {{set: {{x-stage: canary}}, add: {{x-trace: a}}, remove: [x-secret]}}\n  response: {{set: {{x-served: mesh}}, remove: [x-path]}}\n{}",
        to("v1")
    );
    routed("headers_are_set_added_and_removed_in_both_directions", &[&rule])
        .run(async |mesh| {
            let call = get("/").header("x-stage", "mine").header("x-secret", "s3cr3t");
            let answer = mesh.send(&call).await?;
            ensure!(answer.header("x-served") == "mesh" && answer.header("x-path").is_empty(), "{:?}", answer.headers);
            let headers = last_request(mesh, "reviews-v1")?.headers;
            let seen = |name: &str| headers.get(name).cloned().unwrap_or_default();
            ensure!(
                seen("x-stage") == "canary" && seen("x-trace") == "a" && seen("x-secret").is_empty(),
                "{headers:?}"
            );
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_response_needs_no_application() -> Result<()> {
    let rule = "match:\n- uri: {prefix: /teapot}\ndirectResponse: {status: 418, body: {string: short and stout}}";
    routed("a_direct_response_needs_no_application", &[rule, &to("v1")])
        .run(async |mesh| {
            let answer = mesh.send(&get("/teapot")).await?;
            ensure!((answer.status.as_u16(), answer.text().as_str()) == (418, "short and stout"), "{answer:?}");
            ensure_answered_by(mesh, "v1", &[get("/")]).await
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_answers_to_all_its_names() -> Result<()> {
    Scenario::reviews("a_service_answers_to_all_its_names", &["v1"])
        .service("stock", 9081, &["v7"])
        .run(async |mesh| {
            for suffix in ["", ".default", ".default.svc", ".default.svc.cluster.local"] {
                let calls = [format!("reviews{suffix}:9080"), format!("reviews{suffix}")];
                for host in calls {
                    let listener = mesh.caller()?.outbound(9080);
                    let answer = client::send(listener, &Call::get(&host, "/")).await?;
                    ensure!(answer.header("x-app") == "reviews-v1", "{host}: {}", answer.status);
                }
            }
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_proxy_listener_is_right_for_every_port() -> Result<()> {
    Scenario::reviews("the_http_proxy_listener_is_right_for_every_port", &VERSIONS)
        .service("stock", 9081, &["v7"])
        .file("rule.yaml", destination_rule("reviews", &VERSIONS, ""))
        .file("route.yaml", virtual_service("reviews", &[&to("v2")]))
        .run(async |mesh| {
            let proxy = mesh.caller()?.http_proxy();
            for (host, version) in [("reviews:9080", "v2"), ("stock:9081", "v7"), ("stock.default:9081", "v7")] {
                let answer = client::send(proxy, &Call::get(host, "/").as_to_a_proxy()).await?;
                ensure!(answer.header("x-version") == version, "{host}: {}", answer.status);
            }
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tcp_service_passes_bytes_whatever_the_host() -> Result<()> {
    Scenario::reviews("a_tcp_service_passes_bytes_whatever_the_host", &["v1"])
        .service_with_port_name("db", 5432, "tcp", &["v9"])
        .run(async |mesh| {
            let listener = mesh.caller()?.outbound(5432);
            let answer = client::send(listener, &Call::get("no.such.host", "/")).await?;
            ensure!(answer.header("x-version") == "v9", "{}", answer.status);
            ensure!(!answer.headers.contains_key("server"), "an HTTP filter touched it: {:?}", answer.headers);
            Ok(())
        })
        .await
}
