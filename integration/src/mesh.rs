//! A running mesh: a control plane, Envoys beside the callers, and applications without Envoys that answer them.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tempfile::TempDir;

use crate::{
    app::App,
    client::{self, Answer, Call},
    control_plane::{ConfigDir, ControlPlane},
    envoy::{Envoy, HTTP_PROXY_PORT, Protocol, Sidecar},
    load::Load,
    manifest,
    ports::Loopback,
    process::Process,
    tally::Tally,
    wait,
};

/// Fixed ports will do, since every address here is claimed; they lie outside the range that the system gives to the applications.
const ADMIN_PORT: u16 = 15_000;
const XDS_PORT: u16 = 15_010;
const HTTP_PORT: u16 = 15_014;

/// A running mesh. Dropping it ends all of it.
#[derive(Debug)]
pub struct Mesh {
    callers: Vec<Caller>,
    apps: BTreeMap<String, App>,
    services: BTreeMap<String, Service>,
    control_plane: ControlPlane,
    config: ConfigDir,
    home: Loopback,
    directory: TempDir,
}

/// A caller: an Envoy on a loopback address of its own, where it listens on the ports of the services.
#[derive(Debug)]
pub struct Caller {
    envoy: Envoy,
    address: Loopback,
}

/// A Service and the pods that are its endpoints now.
#[derive(Clone, Debug)]
struct Service {
    port: u16,
    port_name: String,
    members: Vec<String>,
}

impl Mesh {
    /// A mesh with these files and nothing else. Its control plane does not run yet, so that it finds all files when it starts.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn prepare(files: &[(String, String)]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("mainsheet-").tempdir().context("make a directory")?;
        let config = ConfigDir::create(directory.path().join("config"))?;
        for (name, content) in files {
            config.write(name, content)?;
        }
        let home = Loopback::claim()?;
        let (xds, http) = (home.at(XDS_PORT), home.at(HTTP_PORT));
        let control_plane = ControlPlane::new(&config, xds, http, directory.path());
        Ok(Self {
            callers: Vec::new(),
            apps: BTreeMap::new(),
            services: BTreeMap::new(),
            control_plane,
            config,
            home,
            directory,
        })
    }

    /// Adds a Service whose port is named `port_name`, with an application for each version, in force when the control plane sees the files.
    ///
    /// # Errors
    /// An application cannot be started or a file not written.
    pub async fn add_service(&mut self, name: &str, port: u16, port_name: &str, versions: &[&str]) -> Result<()> {
        let service = Service { port, port_name: port_name.to_owned(), members: Vec::new() };
        self.config().write(&format!("service-{name}.yaml"), &manifest::service(name, port, port_name))?;
        self.services.insert(name.to_owned(), service);
        let mut members = Vec::new();
        for version in versions {
            members.push(self.add_app(name, version).await?);
        }
        self.set_endpoints(name, &members)
    }

    /// Starts an application for a Service, with its Pod, but not yet as an endpoint; returns the name of the pod, `SERVICE-VERSION`.
    ///
    /// Versions may have a suffix that tells replicas apart: `v1.a` and `v1.b` are two pods of version `v1`.
    ///
    /// # Errors
    /// The application cannot be started or a file not written.
    pub async fn add_app(&mut self, service: &str, replica: &str) -> Result<String> {
        let pod = format!("{service}-{}", replica.replace('.', "-"));
        let version = replica.split('.').next().unwrap_or(replica);
        let app = App::start(&pod, version, self.home.at(0)).await?;
        self.apps.insert(pod.clone(), app);
        self.config().write(&format!("pod-{pod}.yaml"), &manifest::pod(&pod, service, version))?;
        Ok(pod)
    }

    /// Makes exactly these pods the endpoints of a Service.
    ///
    /// # Errors
    /// A pod or the service is not known, or the file cannot be written.
    pub fn set_endpoints(&mut self, service: &str, pods: &[String]) -> Result<()> {
        let known = self.services.get_mut(service).with_context(|| format!("no service {service} here"))?;
        pods.clone_into(&mut known.members);
        let known = known.clone();
        let text = self.endpoints_text(service, &known)?;
        self.config().write(&format!("endpoints-{service}.yaml"), &text)
    }

    fn endpoints_text(&self, service: &str, known: &Service) -> Result<String> {
        let slice = |pod: &String| {
            let app = self.app(pod)?;
            Ok(manifest::endpoint_slice(service, &known.port_name, pod, app.address()))
        };
        let slices: Vec<_> = known.members.iter().map(slice).collect::<Result<_>>()?;
        Ok(manifest::documents(slices))
    }

    /// Writes the Pod of a caller named `APP-VERSION`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add_caller_pod(&self, name: &str) -> Result<()> {
        let (app, version) = app_and_version(name);
        self.config().write(&format!("pod-{name}.yaml"), &manifest::pod(name, app, version))
    }

    /// Adds an Envoy beside a caller named `APP-VERSION` and waits until it has its configuration.
    ///
    /// # Errors
    /// It cannot be started or is not ready in time.
    pub async fn add_caller(&mut self, name: &str, protocol: Protocol) -> Result<()> {
        let xds = self.control_plane.xds();
        self.callers.push(Caller::start(name, &[xds], protocol, self.directory.path()).await?);
        Ok(())
    }

    /// The files that the control plane reads.
    #[must_use]
    pub fn config(&self) -> &ConfigDir {
        &self.config
    }

    /// Writes a file of configuration.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn apply(&self, file: &str, yaml: &str) -> Result<()> {
        self.config().write(file, yaml)
    }

    /// The control plane.
    pub fn control_plane(&mut self) -> &mut ControlPlane {
        &mut self.control_plane
    }

    /// An address for tests to start further things on.
    #[must_use]
    pub fn home(&self) -> &Loopback {
        &self.home
    }

    /// The directory for files that go when the mesh goes.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The application of a pod.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn app(&self, pod: &str) -> Result<&App> {
        self.apps.get(pod).with_context(|| format!("no application {pod} here"))
    }

    /// Ends the application of a pod; its files stay.
    pub fn stop_app(&mut self, pod: &str) {
        self.apps.remove(pod);
    }

    /// The first caller.
    ///
    /// # Errors
    /// There is none.
    pub fn caller(&self) -> Result<&Caller> {
        self.callers.first().context("this scenario has no caller")
    }

    /// All callers.
    #[must_use]
    pub fn callers(&self) -> &[Caller] {
        &self.callers
    }

    /// Sends one request through the first caller's Envoy, to the port that its host names.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, call: &Call) -> Result<Answer> {
        self.caller()?.send(call).await
    }

    /// Sends a request so many times through the first caller's Envoy, one after the other.
    ///
    /// # Errors
    /// There is no caller.
    pub async fn run(&self, call: &Call, times: u64) -> Result<Tally> {
        Ok(self.caller()?.load(call).run(times).await)
    }

    /// Repeats 20 requests until `holds` says that they came back as wanted.
    ///
    /// # Errors
    /// They never did; the last counts are named.
    pub async fn eventually(&self, what: &str, call: &Call, holds: impl Fn(&Tally) -> bool) -> Result<Tally> {
        self.caller()?.eventually(what, call, holds).await
    }

    /// Repeats requests until 20 together are answered 200 by this version alone.
    ///
    /// # Errors
    /// They never are.
    pub async fn eventually_only(&self, version: &str, call: &Call) -> Result<()> {
        let what = format!("only {version} to answer");
        self.eventually(&what, call, |tally| tally.ensure_only(version).is_ok()).await.map(drop)
    }

    /// Sends a request so many times through the first caller's Envoy and checks that each version answered its share (0 to 1), within three
    /// standard deviations.
    ///
    /// # Errors
    /// A request failed, or the shares are not these.
    pub async fn ensure_shares(&self, call: &Call, times: u64, shares: &[(&str, f64)]) -> Result<()> {
        self.caller()?.ensure_shares(call, times, shares).await
    }

    /// What all the processes said last, for a failure's report.
    #[must_use]
    pub fn report(&self) -> String {
        let envoys = self.callers.iter().map(|caller| caller.envoy.log_tail());
        envoys.chain([self.control_plane.log_tail()]).collect::<Vec<_>>().join("\n")
    }

    /// The port of a Service.
    #[must_use]
    pub fn port_of(&self, service: &str) -> Option<u16> {
        self.services.get(service).map(|service| service.port)
    }
}

impl Caller {
    /// Starts the Envoy of a caller `APP-VERSION`, which may connect to a control plane at each of `xds` and whose files go to
    /// `directory`, and waits until it has its configuration.
    ///
    /// # Errors
    /// It cannot be started or is not ready in time.
    pub async fn start(name: &str, xds: &[SocketAddr], protocol: Protocol, directory: &Path) -> Result<Self> {
        let address = Loopback::claim()?;
        let admin = address.at(ADMIN_PORT);
        let (app, version) = app_and_version(name);
        let ip = address.ip();
        let sidecar = Sidecar { pod: name, app, version, ip, service_account: "default", xds, admin, protocol };
        let mut envoy = Envoy::start(name, &sidecar.bootstrap()?, admin, directory)?;
        envoy.ready().await?;
        Ok(Self { envoy, address })
    }

    /// Its Envoy.
    #[must_use]
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// The process of its Envoy.
    pub fn process(&mut self) -> &mut Process {
        self.envoy.process()
    }

    /// Where its Envoy listens for calls to services with this port.
    #[must_use]
    pub fn outbound(&self, port: u16) -> SocketAddr {
        self.address.at(port)
    }

    /// Where its Envoy listens as an explicit HTTP proxy.
    #[must_use]
    pub fn http_proxy(&self) -> SocketAddr {
        self.address.at(HTTP_PROXY_PORT)
    }

    /// Sends one request on a new connection, to the port that its host names.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, call: &Call) -> Result<Answer> {
        client::send(self.outbound(call.port()), call).await
    }

    /// A load of one request, to the port that its host names.
    #[must_use]
    pub fn load(&self, call: &Call) -> Load {
        Load::new(self.outbound(call.port()), call.clone())
    }

    /// Fails if its Envoy ever refused what a control plane sent.
    ///
    /// # Errors
    /// It did, or does not answer.
    pub async fn ensure_nothing_refused(&self) -> Result<()> {
        let updates = self.envoy.updates().await?;
        ensure!(updates.refused == 0, "{}: {updates:?}", self.envoy.name());
        Ok(())
    }

    /// Repeats 20 requests until `holds` says that they came back as wanted.
    ///
    /// # Errors
    /// They never did; the last counts are named.
    pub async fn eventually(&self, what: &str, call: &Call, holds: impl Fn(&Tally) -> bool) -> Result<Tally> {
        let load = self.load(call);
        wait::until(what, async || {
            let tally = load.run(20).await;
            if holds(&tally) { Ok(tally) } else { Err(anyhow!("{tally}")) }
        })
        .await
    }

    /// Sends a request so many times and checks that each version answered its share (0 to 1), within three standard deviations.
    ///
    /// Even exact shares leave that range once in some hundred samples, so a second sample decides.
    ///
    /// # Errors
    /// A request failed, or the shares are not these.
    pub async fn ensure_shares(&self, call: &Call, times: u64, shares: &[(&str, f64)]) -> Result<()> {
        let load = self.load(call).connections(8);
        let mut samples = Vec::new();
        for _ in 0..2 {
            let tally = load.run(times).await;
            tally.ensure_all_ok()?;
            if shares.iter().all(|(version, share)| tally.fits(tally.version(version), *share)) {
                return Ok(());
            }
            samples.push(tally.to_string());
        }
        bail!("the shares are not {shares:?}, in two samples: {}", samples.join("; "))
    }
}

fn app_and_version(pod: &str) -> (&str, &str) {
    pod.rsplit_once('-').unwrap_or((pod, "v1"))
}
