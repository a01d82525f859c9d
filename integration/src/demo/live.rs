//! The demo as it runs by itself: the address of the page, what to edit, and the table, until somebody ends it.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, MissedTickBehavior};

use crate::demo::{
    Options,
    door::Door,
    ledger::Ledger,
    problem,
    screen::{Screen, say},
    stage::Stage,
    table::{self, Paint},
    visitors::Visitors,
};

const TICK: Duration = Duration::from_secs(1);
/// Lately is so many ticks.
const LATELY_TICKS: usize = 10;
const LEGEND: &str = "Versions and times are those of the last 10 s. Ctrl-C ends it all and leaves nothing behind.";
const NO_CONTROL_PLANE: &str = "The control plane does not answer; the Envoys go on with what they have.";
/// Where lines follow lines, a table comes each so many ticks.
const PLAIN_TICKS: u64 = 5;

/// Runs until the time is over or something ends.
///
/// # Errors
/// Something does not start, or ends by itself.
pub async fn run(options: &Options) -> Result<()> {
    say("starting the control plane, six applications and six Envoys …")?;
    let mut stage = Stage::start().await?;
    let door = Door::open(options.page, stage.page()).await?;
    let visitors = Visitors::come(door.address(), options.rate);
    let introduction = introduction(&stage, &door);
    let paint = if options.no_color { Paint::None } else { Paint::Colours };
    let screen = Screen::open(paint)?;
    if matches!(screen, Screen::Plain) {
        say(&format!("{introduction}\n{LEGEND}\n"))?;
    }
    let outcome = watch(options, &mut stage, &visitors, &screen, &introduction).await;
    drop(screen);
    let last = outcome?;
    say(&format!("{last}{}", table::pages(visitors.pages())))
}

/// Shows the table until the time is over; returns the last one.
async fn watch(
    options: &Options,
    stage: &mut Stage,
    visitors: &Visitors,
    screen: &Screen,
    introduction: &str,
) -> Result<String> {
    let end = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut ledger = Ledger::over(LATELY_TICKS);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0.. {
        ticks.tick().await;
        stage.check_alive()?;
        ledger.add(stage.read().await);
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
        let table = table::render(&ledger, screen.paint());
        let problems = stage.problems().await.map_or_else(
            |_| format!("{NO_CONTROL_PLANE}\n"),
            |problems| problem::told(&problems, stage.config().path()),
        );
        let pages = table::pages(visitors.pages());
        match screen {
            Screen::Terminal(_) => screen.show(&format!("{introduction}\n{table}\n{pages}\n{LEGEND}\n{problems}"))?,
            Screen::Plain if tick % PLAIN_TICKS == PLAIN_TICKS - 1 => {
                screen.show(&format!("{table}{pages}\n{problems}"))?
            }
            Screen::Plain => {}
        }
    }
    Ok(table::render(&ledger, Paint::None))
}

/// What to look at and what to do, above the table.
fn introduction(stage: &Stage, door: &Door) -> String {
    let config = stage.config().path();
    let task = config.join("task.yaml");
    let task = task.display();
    let note = stage.place().note().map(|note| format!("note   {note}\n")).unwrap_or_default();
    format!(
        "page   http://{}/productpage
files  {}  (edit them, and the Envoys follow)
try    cp manifests/samples/tasks/canary-90-10.yaml {task}
       cp manifests/samples/tasks/ratings-abort-100.yaml {task}
       rm {task}
ask    target/debug/mainsheet status --http-address {}
{note}",
        door.address(),
        config.display(),
        stage.place().http(),
    )
}
