//! Applications that answer in a cluster without nodes, and Envoys through which they are called.

use anyhow::{Result, ensure};
use integration::{
    app::App,
    client::{self, Answer, Call},
    load::Load,
    mesh::Caller,
    wait,
};
use serde_json::{Value, json};

use crate::world::istio;

/// Sends a request of [`call`].
pub(crate) async fn send(caller: &Caller, call: &Call) -> Result<Answer> {
    client::send(caller.http_proxy(), call).await
}

/// A load of such requests.
pub(crate) fn load(caller: &Caller, call: &Call) -> Load {
    Load::new(caller.http_proxy(), call.clone())
}

/// Waits for an answer 200 that is as wanted.
pub(crate) async fn until_answered(caller: &Caller, call: &Call, is_so: impl Fn(&Answer) -> bool) -> Result<()> {
    wait::until(&format!("an answer through {}", caller.envoy().name()), async || {
        let answer = send(caller, call).await?;
        ensure!(answer.status == 200 && is_so(&answer), "{} {:?}: {}", answer.status, answer.headers, answer.text());
        Ok(())
    })
    .await
}

/// A request to port 80 of a host.
pub(crate) fn call(host: &str, path: &str) -> Call {
    Call::get(host, path).as_to_a_proxy()
}

/// A service of HTTP at port 80 that these applications answer for. The API server lets no EndpointSlice name an address of
/// this machine alone; a ServiceEntry may.
pub(crate) fn entry(name: &str, host: &str, apps: &[&App]) -> Value {
    let endpoint = |app: &&App| {
        let (address, labels) = (app.address(), json!({"version": app.version()}));
        json!({"address": address.ip().to_string(), "ports": {"http": address.port()}, "labels": labels})
    };
    let endpoints: Vec<_> = apps.iter().map(endpoint).collect();
    let ports = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    let spec = json!({"hosts": [host], "ports": ports, "resolution": "STATIC", "endpoints": endpoints});
    istio("ServiceEntry", name, spec)
}

/// A DestinationRule with a subset for each version.
pub(crate) fn subsets(name: &str, host: &str, versions: &[&str]) -> Value {
    let subset = |version: &&str| json!({"name": version, "labels": {"version": version}});
    let subsets: Vec<_> = versions.iter().map(subset).collect();
    istio("DestinationRule", name, json!({"host": host, "subsets": subsets}))
}
