//! What a test starts from, written down before anything runs.

use std::panic::AssertUnwindSafe;

use anyhow::Result;
use futures::FutureExt;

use crate::{
    envoy::Protocol,
    mesh::Mesh,
    outside::{self, Program},
};

/// A mesh to start: services with applications, callers with Envoys, files.
#[derive(Clone, Debug)]
pub struct Scenario {
    name: String,
    services: Vec<Service>,
    callers: Vec<(String, Protocol)>,
    files: Vec<(String, String)>,
    needs: Vec<Program>,
}

#[derive(Clone, Debug)]
struct Service {
    name: String,
    port: u16,
    port_name: String,
    replicas: Vec<String>,
}

impl Scenario {
    /// A scenario with nothing in it; `name` is what a skipped test is called by.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let needs = vec![Program::Envoy, Program::ControlPlane, Program::Agent];
        Self { name: name.to_owned(), services: Vec::new(), callers: Vec::new(), files: Vec::new(), needs }
    }

    /// The service `reviews` on port 9080 with these versions, called by `productpage-v1`: what most tests need.
    #[must_use]
    pub fn reviews(name: &str, versions: &[&str]) -> Self {
        Self::new(name).service("reviews", 9080, versions).caller("productpage-v1")
    }

    /// Adds an HTTP Service with an application for each replica (`v1`, or `v1.a` and `v1.b` for two pods of one version).
    #[must_use]
    pub fn service(self, name: &str, port: u16, replicas: &[&str]) -> Self {
        self.service_with_port_name(name, port, "http", replicas)
    }

    /// The same with a port name of one's own, which says the protocol.
    #[must_use]
    pub fn service_with_port_name(mut self, name: &str, port: u16, port_name: &str, replicas: &[&str]) -> Self {
        self.services.push(Service {
            name: name.to_owned(),
            port,
            port_name: port_name.to_owned(),
            replicas: replicas.iter().map(|&replica| replica.to_owned()).collect(),
        });
        self
    }

    /// Adds a caller `APP-VERSION` with an Envoy that speaks delta xDS.
    #[must_use]
    pub fn caller(self, name: &str) -> Self {
        self.caller_by(name, Protocol::Delta)
    }

    /// Adds a caller with an Envoy that speaks the given protocol.
    #[must_use]
    pub fn caller_by(mut self, name: &str, protocol: Protocol) -> Self {
        self.callers.push((name.to_owned(), protocol));
        self
    }

    /// Adds a file of configuration.
    #[must_use]
    pub fn file(mut self, name: &str, yaml: impl Into<String>) -> Self {
        self.files.push((name.to_owned(), yaml.into()));
        self
    }

    /// Names a further program without which the test is skipped.
    #[must_use]
    pub fn needs(mut self, program: Program) -> Self {
        self.needs.push(program);
        self
    }

    /// Starts it all, runs the test, and ends it all. A failure is reported with the last words of all the processes.
    ///
    /// # Errors
    /// Something cannot be started, or the test fails.
    pub async fn run(self, test: impl AsyncFnOnce(&mut Mesh) -> Result<()>) -> Result<()> {
        if !outside::all_present(&self.name, &self.needs)? {
            return Ok(());
        }
        let mut mesh = Mesh::prepare(&self.files)?;
        let steps = async {
            self.fill(&mut mesh).await?;
            test(&mut mesh).await
        };
        // Boxed, as what a test awaits may be large.
        let outcome = AssertUnwindSafe(Box::pin(steps)).catch_unwind().await;
        if !matches!(outcome, Ok(Ok(()))) {
            eprintln!("{}", mesh.report());
        }
        drop(mesh);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    async fn fill(&self, mesh: &mut Mesh) -> Result<()> {
        for Service { name, port, port_name, replicas } in &self.services {
            let replicas: Vec<_> = replicas.iter().map(String::as_str).collect();
            mesh.add_service(name, *port, port_name, &replicas).await?;
        }
        for (name, _) in &self.callers {
            mesh.add_caller_pod(name)?;
        }
        mesh.control_plane().restart().await?;
        for (name, protocol) in &self.callers {
            mesh.add_caller(name, *protocol).await?;
        }
        Ok(())
    }
}
