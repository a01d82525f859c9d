//! `mainsheet status`: how far each connected proxy has followed, and what is wrong with the configuration.

use clap::ValueEnum;
use serde_json::json;

use super::{access::runtime, arguments, note, pages, print, yaml};
use crate::status::{ProblemStatus, SyncStatus, namespace_of, sort, summary, table};

/// The page of problems.
const PROBLEMS: &str = "/debug/problems";

/// Arguments of `mainsheet status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mainsheet status -n shop\n  mainsheet status --http-address 127.0.0.1:15014 -o json\n\n\
    docs/PERMISSIONS.md says what a user of a cluster needs."
)]
pub(super) struct Args {
    #[command(flatten)]
    pages: pages::Args,
    /// Show the proxies and objects of this namespace
    #[arg(short, long, value_name = "NAMESPACE", value_parser = arguments::namespace)]
    namespace: Option<String>,
    /// Show those of all namespaces, as without -n
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
    Yaml,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let place = args.pages.place().await?;
        let asked = place.ask("/debug/syncz").await?;
        let lists: Vec<Vec<SyncStatus>> = asked.pages.iter().map(pages::Page::read).collect::<Result<_, _>>()?;
        let proxies = joined(lists, args.namespace.as_deref());
        match args.output {
            Output::Json => print(&format!("{:#}\n", json!(proxies)))?,
            Output::Yaml => print(&yaml::write(&json!(proxies)))?,
            Output::Table => {
                let found = place.ask(PROBLEMS).await?;
                let lists: Vec<Vec<ProblemStatus>> =
                    found.pages.iter().map(pages::Page::read).collect::<Result<_, _>>()?;
                let problems = distinct(lists, args.namespace.as_deref());
                print(&(table(&proxies) + &summary(&problems, &place.problems(PROBLEMS))))?;
                found.complete()?;
            }
        }
        let plural = if proxies.len() == 1 { "proxy" } else { "proxies" };
        note(&format!("{} {plural} of {}", proxies.len(), place.title()));
        asked.complete()
    })
}

/// The proxies of all replicas; each is connected to one.
fn joined(lists: Vec<Vec<SyncStatus>>, namespace: Option<&str>) -> Vec<SyncStatus> {
    let is_asked_for = |proxy: &SyncStatus| {
        namespace.is_none_or(|asked| proxy.proxy.rsplit_once('.').is_some_and(|(_, of)| of == asked))
    };
    let mut proxies: Vec<SyncStatus> = lists.into_iter().flatten().filter(is_asked_for).collect();
    sort(&mut proxies);
    proxies
}

/// The problems that all replicas have found, each once: they read the same objects.
fn distinct(lists: Vec<Vec<ProblemStatus>>, namespace: Option<&str>) -> Vec<ProblemStatus> {
    let mut lists = lists.into_iter();
    let mut problems = lists.next().unwrap_or_default();
    for list in lists {
        let more: Vec<ProblemStatus> = list.into_iter().filter(|problem| !problems.contains(problem)).collect();
        problems.extend(more);
    }
    problems.retain(|problem| namespace.is_none_or(|asked| namespace_of(&problem.object) == Some(asked)));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_of_all_replicas_are_one_list() {
        let proxy = |name: &str| SyncStatus { proxy: name.into(), ..SyncStatus::default() };
        let lists = vec![vec![proxy("b.shop"), proxy("d.bank")], vec![], vec![proxy("a.shop"), proxy("c.shop.x")]];
        let names =
            |namespace| joined(lists.clone(), namespace).into_iter().map(|proxy| proxy.proxy).collect::<Vec<_>>();
        assert_eq!(names(None), ["a.shop", "b.shop", "c.shop.x", "d.bank"]);
        assert_eq!(names(Some("shop")), ["a.shop", "b.shop"]);
    }

    #[test]
    fn a_problem_that_all_replicas_have_is_one() {
        let problem = |object: &str| ProblemStatus { object: object.into(), ..ProblemStatus::default() };
        let both = problem("Service shop/web");
        let lists = vec![vec![both.clone(), problem("Service bank/a")], vec![both.clone(), problem("Node n")]];
        assert_eq!(distinct(lists.clone(), None).len(), 3);
        assert_eq!(distinct(lists, Some("shop")), [both]);
    }
}
