//! The demo as a program: what it shows, and that it leaves nothing behind however it ends.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use integration::{
    client::{self, Call},
    outside::{self, Program},
    process::Process,
    wait,
};
use tempfile::TempDir;

/// What the demo starts: the control plane, six Envoys, six applications, the host outside the mesh, and what outlives it
/// to clear all of this away.
const CHILDREN: usize = 15;
/// The tour waits for faults, ejections and restarts on a machine that may be busy.
const TOUR_LIMIT: Duration = Duration::from_secs(240);
const NEEDS: [Program; 5] = [Program::Envoy, Program::ControlPlane, Program::Agent, Program::Bookinfo, Program::Demo];

/// A demo that runs, with its output in a file.
struct Demo {
    process: Process,
    output: PathBuf,
    _directory: TempDir,
}

impl Demo {
    /// Starts it with its page at any free port.
    fn start(arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let output = directory.path().join("output");
        let mut command = Command::new(Program::Demo.find()?);
        command.args(["--page", "127.0.0.1:0"]).args(arguments);
        Ok(Self { process: Process::start("demo", &mut command, &output)?, output, _directory: directory })
    }

    fn output(&self) -> Result<String> {
        std::fs::read_to_string(&self.output).context("read the output of the demo")
    }

    /// What follows `word` at the start of a line of the output.
    async fn said(&mut self, word: &str) -> Result<String> {
        let said = wait::until(word, async || {
            let output = self.output()?;
            let line = output.lines().find_map(|line| line.strip_prefix(word));
            match (line.and_then(|line| line.split_whitespace().next()), self.process.ended()?) {
                (Some(said), _) => Ok(Some(said.to_owned())),
                (None, Some(_)) => Ok(None),
                (None, None) => bail!("not said yet in {output}"),
            }
        });
        let said = said.await?;
        said.with_context(|| format!("the demo ended early: {}", self.output().unwrap_or_default()))
    }

    async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let ended = async || self.process.ended()?.with_context(|| "it runs on");
        wait::until_within(limit, "the demo to end", ended).await.with_context(|| self.process.log_tail())
    }

    fn interrupt(&self, signal: &str) -> Result<()> {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status()?;
        ensure!(sent.success(), "kill: {sent}");
        Ok(())
    }

    /// The processes that the demo started and that live.
    fn children(&self) -> Result<Vec<u32>> {
        let id = self.process.id();
        let is_child = |&child: &u32| parent(child) == Some(id);
        let ids = std::fs::read_dir("/proc")?.flatten();
        let ids = ids.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
        Ok(ids.filter(is_child).collect())
    }
}

/// The parent of a process: the second field after the name, which stands in parentheses and may hold anything.
fn parent(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

/// Neither processes nor files are left.
fn ensure_nothing_left(children: &[u32], files: &str) -> Result<()> {
    let alive: Vec<_> = children.iter().filter(|id| Path::new(&format!("/proc/{id}")).exists()).collect();
    ensure!(alive.is_empty(), "of {children:?} these live on: {alive:?}");
    ensure!(!Path::new(files).exists(), "{files} is still there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_who_calls_whom_and_leaves_nothing_behind() -> Result<()> {
    if !outside::all_present("the_demo_shows_who_calls_whom_and_leaves_nothing_behind", &NEEDS)? {
        return Ok(());
    }
    let mut demo = Demo::start(&["--seconds", "8", "--rate", "20"])?;
    let (page, files) = (demo.said("page ").await?, demo.said("files ").await?);
    let page = page.trim_start_matches("http://").trim_end_matches("/productpage").parse()?;
    let answer = client::send(page, &Call::get("bookinfo", "/productpage?u=jason")).await?;
    ensure!(answer.status == 200 && answer.text().contains("Signed in as <b>jason</b>"), "{}", answer.text());
    let children = demo.children()?;
    ensure!(children.len() == CHILDREN, "it has {} children", children.len());

    let status = demo.ended(Duration::from_secs(60)).await?;
    let output = demo.output()?;
    ensure!(status.success(), "{status}: {output}");
    let last = output.rsplit("CALLER").next().unwrap_or_default();
    for (caller, service) in [
        ("visitors", "productpage"),
        ("productpage-v1", "details"),
        ("productpage-v1", "reviews"),
        ("reviews-v2", "ratings"),
        ("reviews-v3", "ratings"),
    ] {
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let row = last.lines().map(cells).find(|row| row.iter().take(2).eq([caller, service]));
        let requests = row.as_deref().and_then(|row| row.get(2)).and_then(|cell| cell.parse::<u64>().ok());
        ensure!(requests.is_some_and(|requests| requests > 5), "no row of {caller} and {service} in {output}");
    }
    ensure!(last.contains(" 0 with gaps, 0 failed"), "{output}");
    ensure!(["v1 ", "v2 ", "v3 "].iter().all(|version| last.contains(version)), "{output}");
    ensure_nothing_left(&children, &files)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_ends_the_demo_finds_nothing_left() -> Result<()> {
    if !outside::all_present("whoever_ends_the_demo_finds_nothing_left", &NEEDS)? {
        return Ok(());
    }
    for signal in ["-INT", "-TERM"] {
        let mut demo = Demo::start(&[])?;
        let files = demo.said("files ").await?;
        let children = demo.children()?;
        demo.interrupt(signal)?;
        let status = demo.ended(Duration::from_secs(20)).await?;
        ensure!(status.success() && children.len() == CHILDREN, "{status}: {}", demo.output()?);
        ensure_nothing_left(&children, &files)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_is_killed_leaves_nothing_either() -> Result<()> {
    if !outside::all_present("a_demo_that_is_killed_leaves_nothing_either", &NEEDS)? {
        return Ok(());
    }
    let mut demo = Demo::start(&[])?;
    let files = demo.said("files ").await?;
    let children = demo.children()?;
    ensure!(children.len() == CHILDREN, "it has {} children", children.len());
    demo.interrupt("-KILL")?;
    demo.ended(Duration::from_secs(20)).await?;
    wait::until("nothing to be left", async || ensure_nothing_left(&children, &files)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_fails_leaves_nothing_and_says_what_ended() -> Result<()> {
    if !outside::all_present("a_demo_that_fails_leaves_nothing_and_says_what_ended", &NEEDS)? {
        return Ok(());
    }
    let mut demo = Demo::start(&[])?;
    let files = demo.said("files ").await?;
    let children = demo.children()?;
    let application = children.iter().find(|id| {
        let command = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        command.contains("details-v1") && command.contains("--role")
    });
    let application = application.context("no application details-v1")?;
    ensure!(Command::new("kill").args(["-KILL", &application.to_string()]).status()?.success());
    let status = demo.ended(Duration::from_secs(20)).await?;
    let output = demo.output()?;
    ensure!(status.code() == Some(1) && output.contains("application details-v1 ended with"), "{status}: {output}");
    ensure_nothing_left(&children, &files)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_of_the_tour_does_what_it_says() -> Result<()> {
    if !outside::all_present("every_scenario_of_the_tour_does_what_it_says", &NEEDS)? {
        return Ok(());
    }
    let mut demo = Demo::start(&["--tour", "--requests", "200"])?;
    let files = demo.said("files ").await?;
    let children = demo.children()?;
    let status = demo.ended(TOUR_LIMIT).await?;
    let output = demo.output()?;
    ensure!(status.success(), "{status}: {output}");
    ensure!(output.contains("28 of 28 scenarios as they should be") && output.contains("refused 0"), "{output}");
    // Restarted once, so one child more was there in between.
    ensure_nothing_left(&children, &files)
}
