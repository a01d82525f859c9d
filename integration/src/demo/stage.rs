//! What runs: the applications, an Envoy before each, the control plane, and the directory of YAML that it serves.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    bookinfo::behaviour::{Behaviour, Seen},
    client::{self, Call},
    cluster::keeper::Keeper,
    control_plane::{ConfigDir, ControlPlane},
    demo::{
        cast::{PODS, PRODUCTPAGE, Pod},
        observe::{self, Reading},
        place::Place,
        problem::{self, Problem},
        visitors::has_gaps,
    },
    envoy::{self, Envoy, Protocol},
    outside::{Program, repository},
    process::Process,
    wait,
};

/// A mesh that runs. Dropping it ends every process and removes the directory, in the order of the fields; should this
/// program be killed, the keeper does.
#[derive(Debug)]
pub struct Stage {
    sidecars: Vec<Sidecar>,
    apps: Vec<Process>,
    control_plane: ControlPlane,
    config: ConfigDir,
    place: Place,
    keeper: Keeper,
}

/// The Envoy of a pod.
#[derive(Debug)]
struct Sidecar {
    pod: Pod,
    envoy: Envoy,
}

impl Stage {
    /// Starts it all and waits until the page is whole.
    ///
    /// # Errors
    /// A program is missing, or something does not start; what did start is ended.
    pub async fn start() -> Result<Self> {
        for program in [Program::Envoy, Program::ControlPlane, Program::Agent, Program::Bookinfo] {
            program.find()?;
        }
        let place = Place::claim()?;
        let keeper = Keeper::start("mainsheet-demo")?;
        let config = copied_samples(&place, keeper.directory())?;
        let mut control_plane = ControlPlane::new(&config, place.xds(), place.http(), keeper.directory());
        control_plane.keep(&keeper);
        let mut stage = Self { sidecars: Vec::new(), apps: Vec::new(), control_plane, config, place, keeper };
        stage.start_apps()?;
        stage.control_plane.restart().await?;
        for pod in PODS {
            let bootstrap = stage.bootstrap(pod)?;
            let envoy = Envoy::start_kept(pod.name, &bootstrap, stage.place.admin(pod), &stage.keeper)?;
            stage.sidecars.push(Sidecar { pod, envoy });
        }
        for sidecar in &mut stage.sidecars {
            sidecar.envoy.ready().await?;
        }
        stage.page_is_whole().await?;
        Ok(stage)
    }

    fn start_apps(&mut self) -> Result<()> {
        let program = Program::Bookinfo.find()?;
        for pod in PODS {
            let mut command = self.keeper.command(&program);
            command.args(["--role", pod.service, "--version", pod.version, "--pod", pod.name]);
            command.args(["--listen", &self.place.app(pod).to_string()]);
            command.args(["--outbound", &self.place.outbound(pod).to_string()]);
            self.start_app(pod.name, &mut command)?;
        }
        let mut publisher = self.keeper.command(&program);
        publisher.args(["--role", "publisher", "--pod", "publisher"]);
        publisher.args(["--listen", &self.place.publisher().to_string()]);
        self.start_app("publisher", &mut publisher)
    }

    fn start_app(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let log = self.keeper.directory().join(format!("app-{name}.log"));
        self.apps.push(Process::start(&format!("application {name}"), command, &log)?);
        Ok(())
    }

    fn bootstrap(&self, pod: Pod) -> Result<String> {
        let sidecar = envoy::Sidecar {
            pod: pod.name,
            app: pod.service,
            version: pod.version,
            ip: self.place.ip(pod),
            service_account: &format!("bookinfo-{}", pod.service),
            xds: &[self.place.xds()],
            admin: self.place.admin(pod),
            protocol: Protocol::Delta,
        };
        sidecar.bootstrap()
    }

    async fn page_is_whole(&mut self) -> Result<()> {
        let page = self.page();
        let probe = wait::until("the page to be whole", async || {
            for app in &mut self.apps {
                if app.ended()?.is_some() {
                    return Ok(Err(app.log_tail()));
                }
            }
            let answer = client::send(page, &Call::get("productpage", "/productpage")).await?;
            ensure!(answer.status.is_success(), "it is answered {}", answer.status);
            ensure!(!has_gaps(&answer), "a service behind it does not answer yet");
            Ok(Ok(()))
        });
        match probe.await.with_context(|| self.report())? {
            Ok(()) => Ok(()),
            Err(tail) => anyhow::bail!("an application ended\n{tail}"),
        }
    }

    /// Fails if something that was started has ended.
    ///
    /// # Errors
    /// It has; its last words are in the error.
    pub fn check_alive(&mut self) -> Result<()> {
        self.apps.iter_mut().try_for_each(Process::check_alive)?;
        self.sidecars.iter_mut().try_for_each(|sidecar| sidecar.envoy.process().check_alive())
    }

    /// What all Envoys have counted. One that does not answer is left out.
    pub async fn read(&self) -> Reading {
        let readings = self.sidecars.iter().map(|sidecar| observe::read(sidecar.pod.name, &sidecar.envoy));
        futures::future::join_all(readings).await.into_iter().flatten().flatten().collect()
    }

    /// How many updates all Envoys together took from the control plane, and how many they refused.
    ///
    /// # Errors
    /// One does not answer.
    pub async fn updates(&self) -> Result<(u64, u64)> {
        let mut sum = (0, 0);
        for sidecar in &self.sidecars {
            let updates = sidecar.envoy.updates().await?;
            sum = (sum.0 + updates.taken, sum.1 + updates.refused);
        }
        Ok(sum)
    }

    /// Fails unless every Envoy is connected and, as far as the control plane knows, holds what it should.
    ///
    /// # Errors
    /// One does not, or the control plane does not answer.
    pub async fn ensure_synced(&self) -> Result<()> {
        let proxies = self.control_plane.json("/debug/syncz").await?;
        let states = proxies.as_array().into_iter().flatten().filter_map(|proxy| proxy.pointer("/mainsheet/state"));
        let synced = states.filter(|state| *state == "SYNCED").count();
        ensure!(synced == self.sidecars.len(), "{synced} of {} are in sync", self.sidecars.len());
        Ok(())
    }

    /// Sets the counters of an application back and tells it how to behave from now on.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn behave(&self, pod: Pod, behaviour: Behaviour) -> Result<()> {
        let Behaviour { delay_ms, status, every } = behaviour;
        let path = format!("/behaviour?delay_ms={delay_ms}&status={status}&every={every}");
        let call = Call::get(pod.name, &path).method(hyper::Method::POST);
        let answer = client::send(self.place.app(pod), &call).await?;
        ensure!(answer.status.is_success(), "{} refuses to misbehave: {}", pod.name, answer.status);
        Ok(())
    }

    /// What an application has seen since it was last told how to behave.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn seen(&self, pod: Pod) -> Result<Seen> {
        let body = client::fetch(self.place.app(pod), "/behaviour").await?;
        serde_json::from_slice(&body).with_context(|| format!("what {} has seen", pod.name))
    }

    /// The control plane.
    pub fn control_plane(&mut self) -> &mut ControlPlane {
        &mut self.control_plane
    }

    /// What the control plane finds wrong with the files.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn problems(&self) -> Result<Vec<Problem>> {
        problem::all(&self.control_plane).await
    }

    /// The files that the control plane serves.
    #[must_use]
    pub fn config(&self) -> &ConfigDir {
        &self.config
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Where the Envoy before the page listens.
    #[must_use]
    pub fn page(&self) -> SocketAddr {
        self.place.inbound(PRODUCTPAGE)
    }

    /// The last words of the control plane and all Envoys.
    #[must_use]
    pub fn report(&self) -> String {
        let envoys = self.sidecars.iter().map(|sidecar| sidecar.envoy.log_tail());
        envoys.chain([self.control_plane.log_tail()]).collect::<Vec<_>>().join("\n")
    }
}

/// A copy of the samples in one folder of `directory`, to be changed.
fn copied_samples(place: &Place, directory: &Path) -> Result<ConfigDir> {
    let config = ConfigDir::create(directory.join("config"))?;
    for folder in ["bookinfo", "bookinfo/loopback"] {
        let samples = repository().join("manifests/samples").join(folder);
        let entries = std::fs::read_dir(&samples).with_context(|| format!("read {}", samples.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("read {}", samples.display()))?.path();
            if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) {
                let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                config.write(name, &place.relocate(&text))?;
            }
        }
    }
    Ok(config)
}
