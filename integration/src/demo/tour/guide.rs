//! What scenes are played with: files are applied and taken away, requests sent and counted.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    bookinfo::behaviour::Behaviour,
    client::{self, Answer, Call},
    demo::{
        cast::{PODS, PRODUCTPAGE, Pod, pod},
        stage::Stage,
    },
    load::Load,
    outside::sample,
    tally::Tally,
    wait,
};

/// The Envoys have settled when they took no update for so long.
const QUIET: Duration = Duration::from_millis(250);
/// Independent draws leave this many standard deviations once in 150,000 times.
const DEVIATIONS: f64 = 4.5;

/// Leads through one scene.
#[derive(Debug)]
pub(super) struct Guide<'a> {
    stage: &'a mut Stage,
    door: SocketAddr,
    requests: u64,
    applied: Vec<String>,
    files: Vec<String>,
    misbehaving: Vec<Pod>,
    away: Vec<(String, String)>,
}

impl<'a> Guide<'a> {
    pub(super) fn new(stage: &'a mut Stage, door: SocketAddr, requests: u64) -> Self {
        let (applied, files, misbehaving, away) = Default::default();
        Self { stage, door, requests, applied, files, misbehaving, away }
    }

    /// How many requests a scene is measured with.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// The samples that were applied.
    pub(super) fn applied(&self) -> &[String] {
        &self.applied
    }

    pub(super) fn stage(&mut self) -> &mut Stage {
        self.stage
    }

    /// Puts a sample into the directory as `task.yaml`, in place of the one before, and waits until the Envoys have it.
    pub(super) async fn apply(&mut self, name: &str) -> Result<()> {
        let before = self.taken().await?;
        self.put(name)?;
        self.settled(before).await.with_context(|| format!("apply {name}"))
    }

    /// The same without waiting.
    pub(super) fn put(&mut self, name: &str) -> Result<()> {
        self.write(name, "task.yaml")
    }

    /// Puts a sample into the directory under its own name, beside what is there.
    pub(super) fn add(&mut self, name: &str) -> Result<()> {
        let file = name.rsplit('/').next().unwrap_or(name).to_owned();
        self.write(name, &file)
    }

    fn write(&mut self, name: &str, file: &str) -> Result<()> {
        let text = self.stage.place().relocate(&sample(name)?);
        self.stage.config().write(file, &text)?;
        if !self.files.iter().any(|held| held == file) {
            self.files.push(file.to_owned());
        }
        let shown = format!("manifests/samples/{name}");
        if !self.applied.contains(&shown) {
            self.applied.push(shown);
        }
        Ok(())
    }

    /// Takes a file of the directory away until the end of the scene.
    pub(super) fn take_away(&mut self, file: &str) -> Result<()> {
        let path = self.stage.config().path().join(file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        self.stage.config().remove(file)?;
        self.away.push((file.to_owned(), text));
        Ok(())
    }

    /// Brings back the file that was taken away last.
    pub(super) fn bring_back(&mut self) -> Result<()> {
        match self.away.pop() {
            Some((file, text)) => self.stage.config().write(&file, &text),
            None => Ok(()),
        }
    }

    /// Deletes what the scene applied and waits until the Envoys are as before; heals applications.
    pub(super) async fn undo(&mut self) -> Result<()> {
        for pod in std::mem::take(&mut self.misbehaving) {
            self.stage.behave(pod, Behaviour::default()).await?;
        }
        let before = self.taken().await?;
        let files = std::mem::take(&mut self.files);
        let changed = !(files.is_empty() && self.away.is_empty());
        while !self.away.is_empty() {
            self.bring_back()?;
        }
        files.iter().try_for_each(|file| self.stage.config().remove(file))?;
        if changed { self.settled(before).await.context("undo") } else { Ok(()) }
    }

    /// Deletes what `apply` put there and waits until the Envoys know.
    pub(super) async fn delete(&mut self) -> Result<()> {
        let before = self.taken().await?;
        self.files.retain(|file| file != "task.yaml");
        self.stage.config().remove("task.yaml")?;
        self.settled(before).await.context("delete task.yaml")
    }

    /// The number of updates that the Envoys took up to now, to be given to `settled`.
    pub(super) async fn taken(&self) -> Result<u64> {
        Ok(self.stage.updates().await?.0)
    }

    /// Waits until the Envoys took more updates than `before`, all hold what they should, and they took none for a while.
    pub(super) async fn settled(&self, before: u64) -> Result<()> {
        let mut last = before;
        let mut quiet_since = Instant::now();
        wait::until("the Envoys to take the change", async || {
            let taken = self.taken().await?;
            if taken != last || taken == before {
                (last, quiet_since) = (taken, Instant::now());
            }
            ensure!(taken > before, "none took anything");
            self.stage.ensure_synced().await?;
            ensure!(quiet_since.elapsed() >= QUIET, "they still take updates");
            Ok(())
        })
        .await
    }

    /// Waits until every Envoy is connected and holds what it should.
    pub(super) async fn all_synced(&self) -> Result<()> {
        wait::until("every Envoy to be connected", async || self.stage.ensure_synced().await).await
    }

    /// Lets an application misbehave until the end of the scene, and sets its counters back.
    pub(super) async fn behave(&mut self, name: &str, behaviour: Behaviour) -> Result<()> {
        let pod = known(name)?;
        if !self.misbehaving.contains(&pod) {
            self.misbehaving.push(pod);
        }
        self.stage.behave(pod, behaviour).await
    }

    /// How many requests an application has had since it was told how to behave, and the most at one time.
    pub(super) async fn seen(&self, name: &str) -> Result<(u64, u64)> {
        let seen = self.stage.seen(known(name)?).await?;
        Ok((seen.requests, seen.in_progress_max))
    }

    /// Calls as the page makes them: through its Envoy, to the port that the host names.
    pub(super) fn load_by_page(&self, call: &Call) -> Load {
        self.load_by(PRODUCTPAGE, call)
    }

    /// Calls as `reviews-v2` makes them.
    pub(super) fn load_by_reviews(&self, call: &Call) -> Result<Load> {
        Ok(self.load_by(known("reviews-v2")?, call))
    }

    fn load_by(&self, pod: Pod, call: &Call) -> Load {
        let mut address = self.stage.place().outbound(pod);
        address.set_port(call.port());
        Load::new(address, call.clone())
    }

    /// What the control plane finds wrong with the files, a line each.
    pub(super) async fn problems(&self) -> Result<Vec<String>> {
        let directory = self.stage.config().path();
        let problems = self.stage.problems().await?;
        Ok(problems.iter().filter(|problem| problem.is_error()).map(|problem| problem.line(directory)).collect())
    }

    /// Measures calls of the page to reviews.
    pub(super) async fn to_reviews(&self) -> Tally {
        self.load_by_page(&reviews()).connections(4).run(self.requests).await
    }

    /// One call of the page.
    pub(super) async fn ask(&self, call: &Call) -> Result<Answer> {
        let mut address = self.stage.place().outbound(PRODUCTPAGE);
        address.set_port(call.port());
        client::send(address, call).await
    }

    /// Loads the page as a visitor does.
    pub(super) async fn page(&self) -> Result<Answer> {
        let page = client::send(self.door, &Call::get(&self.door.to_string(), "/productpage")).await?;
        ensure!(page.status.is_success(), "the page is answered {}", page.status);
        Ok(page)
    }
}

/// A call to reviews.
pub(super) fn reviews() -> Call {
    Call::get("reviews:9080", "/reviews/0")
}

/// A call to ratings.
pub(super) fn ratings() -> Call {
    Call::get("ratings:9080", "/ratings/0")
}

fn known(name: &str) -> Result<Pod> {
    pod(name).with_context(|| format!("{name} is none of {}", PODS.map(|pod| pod.name).join(", ")))
}

/// The versions of a tally as text, with the number of errors and the times.
pub(super) fn told(tally: &Tally) -> String {
    let versions = ["v1", "v2", "v3"].map(|version| (version, tally.version(version)));
    let split: Vec<_> =
        versions.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
    let split = if split.is_empty() { "none answered".to_owned() } else { split.join(", ") };
    format!("{split} of {}; errors {}; {}", tally.total(), errors(tally), times(tally))
}

/// Requests without an answer, or with one of 500 and more.
pub(super) fn errors(tally: &Tally) -> u64 {
    tally.failed() + tally.server_errors()
}

/// The times of a tally as text.
pub(super) fn times(tally: &Tally) -> String {
    let ms = |share| tally.percentile(share).as_secs_f64() * 1_000.0;
    format!("p50 {:.1} ms, p99 {:.1} ms", ms(0.5), ms(0.99))
}

/// Fails unless `count` of the requests is what a share (0 to 1) of independent draws gives.
pub(super) fn ensure_share(tally: &Tally, what: &str, count: u64, share: f64) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    let (total, count) = (tally.total() as f64, count as f64);
    let allowed = DEVIATIONS * (total * share * (1.0 - share)).sqrt();
    let expected = total * share;
    ensure!((count - expected).abs() <= allowed, "{what}: {count}, not {expected:.0} ± {allowed:.0}; {tally}");
    Ok(())
}
