//! What is wrong with the configuration: what the source said, and what the objects say of each other.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use mesh::{
    compile,
    model::{Problem, Severity},
    store::Mesh,
};
use tokio::sync::watch;

use crate::{conditions::Checked, dispatch::Handle, metrics::Metrics};

/// Pause between two looks at the whole mesh, so that a mesh which changes all the time is not looked at all the time.
const PAUSE: Duration = Duration::from_secs(1);
/// Most problems that are written at a time, of those that are new and of those that are gone.
const LINES_MAX: usize = 20;

/// Looks at the mesh whenever it or the source's own list has changed, and publishes, counts and logs what is wrong.
/// Never on the way of a push: proxies do not wait for it.
pub(super) async fn run(
    mut found: watch::Receiver<Arc<Vec<Problem>>>,
    mut mesh: Handle,
    problems: watch::Sender<Arc<Vec<Problem>>>,
    checked: watch::Sender<Checked>,
    metrics: Arc<Metrics>,
) {
    let mut seen = None;
    loop {
        let changed = tokio::select! {
            changed = found.changed() => changed.is_ok(),
            changed = mesh.changed() => changed.is_ok(),
        };
        if !changed {
            return;
        }
        let view = mesh.view();
        let of_source = found.borrow_and_update().clone();
        // A proxy that came or went changes nothing that is looked at here.
        let look = (view.revision, of_source);
        if !view.ready {
            continue;
        }
        if seen.as_ref() == Some(&look) {
            // Nothing else is wrong with it, but objects may have been written anew with the same meaning.
            checked.send_if_modified(|checked| checked.follow(view.mesh));
            continue;
        }
        let mesh = view.mesh.clone();
        let Ok(of_mesh) = tokio::task::spawn_blocking(move || compile::check::check(&mesh)).await else { continue };
        let mut all = Vec::clone(&look.1);
        all.extend(of_mesh.iter().cloned());
        seen = Some(look);
        note(&all, &problems.borrow(), &view.mesh, &metrics);
        checked.send_replace(Checked { mesh: Some(view.mesh), problems: Arc::new(of_mesh) });
        problems.send_replace(Arc::new(all));
        tokio::time::sleep(PAUSE).await;
    }
}

/// Counts problems, and writes those that are new and those that are gone.
fn note(found: &[Problem], before: &[Problem], mesh: &Mesh, metrics: &Metrics) {
    for severity in [Severity::Error, Severity::Warning, Severity::Info] {
        let count = found.iter().filter(|problem| problem.severity == severity).count();
        metrics.problems(severity.as_str(), count);
        if severity == Severity::Error {
            metrics.pilot_total_rejected_configs.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    let (new, gone) = (missing(found, before), missing(before, found));
    let shown: Vec<&Problem> = new.iter().copied().take(LINES_MAX).collect();
    let held = held(&shown, mesh);
    for problem in shown {
        match problem.severity {
            // Of what is wrong from the start there is no last good form.
            Severity::Error => {
                let in_force = match &problem.location {
                    Some(location) if problem.object.is_empty() => mesh.has_any_of(&location.file),
                    Some(_) | None => held.contains(&problem.object),
                };
                tracing::warn!(code = problem.code, in_force, %problem, "configuration problem");
            }
            Severity::Warning | Severity::Info => {
                tracing::info!(code = problem.code, %problem, "configuration problem")
            }
        }
    }
    if let Some(count) = new.len().checked_sub(LINES_MAX).filter(|count| *count > 0) {
        tracing::warn!(count, "more configuration problems; see /debug/problems, or run mainsheet analyze");
    }
    for problem in gone.iter().take(LINES_MAX) {
        tracing::info!(code = problem.code, %problem, "configuration problem is mended");
    }
    if let Some(count) = gone.len().checked_sub(LINES_MAX).filter(|count| *count > 0) {
        tracing::info!(count, "more configuration problems are mended");
    }
}

/// The objects among those that errors speak of that are in force, in whatever form.
fn held(problems: &[&Problem], mesh: &Mesh) -> BTreeSet<String> {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let named: BTreeSet<&str> = errors.map(|problem| problem.object.as_str()).filter(|name| !name.is_empty()).collect();
    if named.is_empty() {
        return BTreeSet::new();
    }
    mesh.ids().map(ToString::to_string).filter(|id| named.contains(id.as_str())).collect()
}

/// The problems of `list` that `other` does not have, the worst first. One that has only moved to another line is the
/// same.
fn missing<'a>(list: &'a [Problem], other: &[Problem]) -> Vec<&'a Problem> {
    let known: BTreeSet<_> = other.iter().map(identity).collect();
    let mut missing: Vec<&Problem> = list.iter().filter(|problem| !known.contains(&identity(problem))).collect();
    missing.sort_by_key(|problem| problem.severity);
    missing
}

fn identity(problem: &Problem) -> (&str, &str, &str, &str, Option<&str>) {
    let Problem { severity: _, code, object, field, location, reason, remedy: _ } = problem;
    (code, object, field, reason, location.as_ref().map(|location| &*location.file))
}
