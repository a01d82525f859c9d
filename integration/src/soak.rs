//! No request lost: steady load through Envoys while the mesh is edited at random and its control plane dies and returns.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::time::{Instant, MissedTickBehavior};

use crate::{
    client::{Answer, Call},
    envoy::Protocol,
    load::{Load, Running},
    manifest,
    mesh::{Caller, Mesh},
    random::Random,
    scenario::Scenario,
    tally::Tally,
    wait,
};

use self::world::{Edit, FileChange, World};

pub use self::evidence::Evidence;

mod evidence;
mod world;

/// Connections that each caller keeps under load.
const CONNECTIONS: u32 = 4;
/// So many edits are made while the control plane is dead, before it is started again.
const EDITS_WHILE_DEAD: u32 = 5;
/// A service that only tells how far the callers are: its answers carry the number of the last mark in this header.
const MARKER: &str = "marker";
const MARK_HEADER: &str = "x-mark";

/// How long, how much, and from which seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the Envoys speak. An Envoy that speaks the state of the world cannot tell a control plane that comes back which clusters it holds,
    /// so with that the mesh is at rest around each kill; with delta the edits go on.
    pub protocol: Protocol,
    /// Seed of the edits.
    pub seed: u64,
    /// How long the edits are spread over.
    pub duration: Duration,
    /// How many edits are made.
    pub edits: u32,
    /// How many times the control plane is killed and started again.
    pub kills: u32,
    /// Requests a second through each of the two callers.
    pub per_second: u32,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// All requests of the load.
    pub tally: Tally,
    /// How many edits of each kind were made.
    pub edits: BTreeMap<&'static str, u32>,
    /// Updates that Envoys took, all callers together.
    pub taken: u64,
    /// Updates that Envoys refused (NACK), by their own count.
    pub refused: u64,
    /// NACKs that the control planes counted, over all their lives.
    pub rejects: f64,
    /// How many times the control plane was killed.
    pub kills: u32,
    /// What was done when, and what was seen.
    pub evidence: Evidence,
}

impl Outcome {
    /// Nothing was lost and nothing refused. If something was, a directory keeps what was done when and what the Envoys held.
    ///
    /// # Errors
    /// Something was; the outcome is named, and the directory.
    pub fn ensure_nothing_lost(&self) -> Result<()> {
        self.check().or_else(|error| {
            let kept = self.evidence.save()?;
            Err(error.context(format!("see {}", kept.display())))
        })
    }

    fn check(&self) -> Result<()> {
        self.tally.ensure_all_ok()?;
        ensure!(self.refused == 0 && self.rejects == 0.0, "configuration was refused: {self}");
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edits: u32 = self.edits.values().sum();
        write!(f, "{edits} edits {:?}, {} kills; ", self.edits, self.kills)?;
        write!(f, "{} updates taken, {} refused, {} rejects counted; ", self.taken, self.refused, self.rejects)?;
        self.tally.fmt(f)
    }
}

/// The mesh that is edited: four services in two versions of two pods, called through two Envoys.
#[must_use]
pub fn scenario(name: &str, protocol: Protocol) -> Scenario {
    let scenario = world::SERVICES
        .iter()
        .fold(Scenario::new(name), |scenario, service| scenario.service(service, world::PORT, &world::REPLICAS));
    let scenario = scenario.service(MARKER, world::PORT, &["v1"]);
    scenario.caller_by("caller-one", protocol).caller_by("caller-two", protocol)
}

/// Carries out a plan on the mesh of [`scenario`]; `progress` is told of each edit made.
///
/// # Errors
/// The control plane cannot be restarted, files cannot be written, or the last edit is not in force in time.
pub async fn run(mesh: &mut Mesh, plan: Plan, mut progress: impl FnMut(u32)) -> Result<Outcome> {
    let mut soak = Soak::new(plan.seed);
    let start = |caller: &Caller| start_load(caller, plan, soak.evidence.alarm());
    let loads: Vec<_> = mesh.callers().iter().map(start).collect();
    let mut ticks = tokio::time::interval_at(Instant::now(), plan.duration / plan.edits.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let between_kills = plan.edits / (plan.kills + 1);
    for number in 1..=plan.edits {
        ticks.tick().await;
        soak.evidence.look(mesh).await?;
        soak.edit(mesh)?;
        if between_kills > 0 && number.is_multiple_of(between_kills) && number / between_kills <= plan.kills {
            soak.kill_and_restart(mesh, plan.protocol).await?;
        }
        progress(number);
    }
    soak.rest(mesh).await?;
    soak.outcome(mesh, plan, loads).await
}

fn start_load(caller: &Caller, plan: Plan, alarm: Arc<AtomicBool>) -> Running {
    let calls = |number: u64| {
        let service = world::SERVICES.get(usize::try_from(number).unwrap_or(0) % world::SERVICES.len());
        let call = Call::get(&format!("{}:{}", service.copied().unwrap_or_default(), world::PORT), "/");
        if number.is_multiple_of(7) { call.header(world::BETA_HEADER, "yes") } else { call }
    };
    let name = caller.envoy().name().to_owned();
    let check = move |call: &Call, answer: &Answer| {
        let wrong = wrong(call, answer).map(|wrong| format!("through {name}: {wrong}"));
        alarm.fetch_or(wrong.is_some(), Ordering::Relaxed);
        wrong
    };
    let load = Load::varied(caller.outbound(world::PORT), calls);
    load.checked(check).connections(CONNECTIONS).start(plan.per_second)
}

/// An answer by a service that was not asked is as bad as none.
fn wrong(call: &Call, answer: &Answer) -> Option<String> {
    let asked = call.host().split(':').next().unwrap_or_default();
    let right = answer.status == 200 && answer.header("x-app").starts_with(&format!("{asked}-"));
    (!right).then(|| {
        let answered = format!("{:?} answered: {} {:?}", answer.header("x-app"), answer.status, answer.text());
        format!("{call:?}: {answered}")
    })
}

struct Soak {
    world: World,
    random: Random,
    edits: BTreeMap<&'static str, u32>,
    rejects: f64,
    marks: u32,
    evidence: Evidence,
}

impl Soak {
    fn new(seed: u64) -> Self {
        Self {
            world: World::default(),
            random: Random::seeded(seed),
            edits: BTreeMap::new(),
            rejects: 0.0,
            marks: 0,
            evidence: Evidence::new(),
        }
    }

    fn edit(&mut self, mesh: &Mesh) -> Result<()> {
        let Edit { kind, changes } = self.world.edit(&mut self.random, mesh)?;
        *self.edits.entry(kind).or_default() += 1;
        for change in changes {
            match change {
                FileChange::Write(way, name, content) => {
                    self.evidence.note(&format!("{way:?} {name}\n{content}"));
                    mesh.config().write_by(way, &name, &content)?;
                }
                FileChange::Remove(name) => {
                    self.evidence.note(&format!("Remove {name}"));
                    mesh.config().remove(&name)?;
                }
            }
        }
        Ok(())
    }

    async fn kill_and_restart(&mut self, mesh: &mut Mesh, protocol: Protocol) -> Result<()> {
        let edits = match protocol {
            Protocol::Delta => EDITS_WHILE_DEAD,
            Protocol::Sotw => {
                self.rest(mesh).await?;
                0
            }
        };
        self.rejects += rejects(mesh).await?;
        self.evidence.note("kill");
        mesh.control_plane().kill();
        for _ in 0..edits {
            self.edit(mesh)?;
        }
        mesh.control_plane().restart().await?;
        self.evidence.note("serving again");
        match protocol {
            Protocol::Delta => Ok(()),
            Protocol::Sotw => self.rest(mesh).await,
        }
    }

    /// Makes an edit that shows in answers, and waits until every caller sees it: all earlier edits are in force then.
    async fn rest(&mut self, mesh: &Mesh) -> Result<()> {
        self.marks += 1;
        let mark = self.marks.to_string();
        let rule = format!(
            "headers: {{response: {{set: {{{MARK_HEADER}: \"{mark}\"}}}}}}\nroute: [{{destination: {{host: {MARKER}}}}}]"
        );
        mesh.apply("route-marker.yaml", &manifest::virtual_service(MARKER, &[&rule]))?;
        let call = Call::get(&format!("{MARKER}:{}", world::PORT), "/");
        for caller in mesh.callers() {
            wait::until("the mark to be in force", async || {
                let answer = caller.send(&call).await?;
                ensure!(answer.header(MARK_HEADER) == mark, "not {mark} but {:?}", answer.header(MARK_HEADER));
                Ok(())
            })
            .await?;
        }
        self.evidence.note(&format!("mark {mark} is in force"));
        Ok(())
    }

    async fn outcome(self, mesh: &mut Mesh, plan: Plan, loads: Vec<Running>) -> Result<Outcome> {
        let mut tally = Tally::default();
        for load in loads {
            tally.join(load.stop().await);
        }
        let (mut taken, mut refused) = (0, 0);
        for caller in mesh.callers() {
            let updates = caller.envoy().updates().await?;
            taken += updates.taken;
            refused += updates.refused;
        }
        let rejects = self.rejects + rejects(mesh).await?;
        let Self { edits, mut evidence, .. } = self;
        evidence.keep_log(mesh);
        Ok(Outcome { tally, edits, taken, refused, rejects, kills: plan.kills, evidence })
    }
}

async fn rejects(mesh: &mut Mesh) -> Result<f64> {
    Ok(mesh.control_plane().metrics().await?.sum("pilot_total_xds_rejects"))
}
