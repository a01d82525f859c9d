//! Applications that answer in a cluster without nodes, and Envoys through which they are called.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use integration::{
    app::App,
    client::{Answer, Call, send},
    envoy::{Envoy, HTTP_PROXY_PORT, Protocol, Sidecar},
    load::Load,
    ports::Loopback,
    wait,
};
use serde_json::{Value, json};

use crate::world::{World, istio};

/// The port of Envoy's admin interface.
const ADMIN_PORT: u16 = 15_000;

/// A pod that calls others through an Envoy with an explicit HTTP proxy.
pub(crate) struct Caller {
    pub(crate) envoy: Envoy,
    address: Loopback,
}

impl Caller {
    /// Starts its Envoy, which may connect to a control plane at each of `xds`, and waits until it has its configuration.
    pub(crate) async fn start(world: &World, name: &str, xds: &[SocketAddr], protocol: Protocol) -> Result<Self> {
        let address = Loopback::claim()?;
        let admin = address.at(ADMIN_PORT);
        let sidecar = Sidecar {
            pod: name,
            app: "caller",
            version: "v1",
            ip: address.ip(),
            service_account: "default",
            xds,
            admin,
            protocol,
        };
        let mut envoy = Envoy::start(name, &sidecar.bootstrap()?, admin, world.directory.path())?;
        envoy.ready().await?;
        Ok(Self { envoy, address })
    }

    /// Sends a request of [`call`].
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer> {
        send(self.address.at(HTTP_PROXY_PORT), call).await
    }

    /// A load of such requests.
    pub(crate) fn load(&self, call: &Call) -> Load {
        Load::new(self.address.at(HTTP_PROXY_PORT), call.clone())
    }

    /// Waits for an answer 200 that is as wanted.
    pub(crate) async fn until_answered(&self, call: &Call, is_so: impl Fn(&Answer) -> bool) -> Result<()> {
        wait::until(&format!("an answer through {}", self.envoy.name()), async || {
            let answer = self.send(call).await?;
            ensure!(
                answer.status == 200 && is_so(&answer),
                "{} {:?}: {}",
                answer.status,
                answer.headers,
                answer.text()
            );
            Ok(())
        })
        .await
    }

    /// Fails if it ever refused what a control plane sent.
    pub(crate) async fn ensure_nothing_refused(&self) -> Result<()> {
        let updates = self.envoy.updates().await?;
        ensure!(updates.refused == 0, "{}: {updates:?}", self.envoy.name());
        Ok(())
    }
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
