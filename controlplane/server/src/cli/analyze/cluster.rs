//! What is wrong with the objects of a cluster, or will be once files are applied to it.

use std::{collections::BTreeSet, sync::Arc};

use mesh::{
    model::{Change, Namespace, Problem},
    store::Store,
};

use super::{Args, Found, shown_paths, with_those_between};
use crate::{
    cli::{End, access::runtime, note},
    source::{
        self, Update,
        kube::{Extent, Listed, load},
    },
    status::namespace_of,
};

/// Reads the cluster, and the files if there are any.
pub(super) fn find(args: &Args) -> Result<Found, End> {
    try_find(args).map_err(End::Failed)
}

fn try_find(args: &Args) -> anyhow::Result<Found> {
    runtime()?.block_on(async {
        let client = args.access.client().await?;
        let namespace = match &args.namespace {
            Some(namespace) => namespace.clone(),
            None => Namespace::parse(client.default_namespace())?,
        };
        let extent = if args.all_namespaces { Extent::Everywhere } else { Extent::AtLeast(namespace.to_string()) };
        let settings = args.settings(Some(namespace.clone()));
        let Listed { update, unseen } = load(&client, &settings, &extent).await?;
        for line in unseen {
            note(&format!("warning: {line}"));
        }
        let files = source::load(&args.paths, &settings);
        let mut problems = with_files(update, files);
        let place = match extent {
            Extent::Everywhere => "the cluster".to_owned(),
            Extent::AtLeast(namespace) => {
                // Files are shown whole, whatever they are about.
                problems.retain(|problem| {
                    problem.location.is_some() || namespace_of(&problem.object) == Some(namespace.as_str())
                });
                format!("namespace {namespace}")
            }
        };
        let files = if args.paths.is_empty() { String::new() } else { format!(" with {}", shown_paths(&args.paths)) };
        Ok(Found { problems, nothing: None, place: place + &files })
    })
}

/// The problems of a cluster once the files are applied: of an object that is in both, what the file says counts.
fn with_files(cluster: Update, files: Update) -> Vec<Problem> {
    let declared = files.changes.iter().filter_map(|change| match change {
        Change::Set(config) => Some(config.id().to_string()),
        Change::SetEndpoints(slice) => Some(slice.id.to_string()),
        Change::Remove(_) => None,
    });
    let refused = files.problems.iter().map(|problem| problem.object.clone());
    let replaced: BTreeSet<String> = declared.chain(refused).collect();
    let mut store = Store::new();
    store.apply(cluster.changes);
    store.apply(files.changes);
    let mut problems = Arc::unwrap_or_clone(cluster.problems);
    problems.retain(|problem| !replaced.contains(&problem.object));
    problems.extend(files.problems.iter().cloned());
    with_those_between(problems, store.mesh())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Settings;

    fn update(text: &str) -> Update {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.yaml"), text).unwrap();
        source::load(&[directory.path().to_owned()], &Settings::default())
    }

    fn objects_of(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(|problem| format!("{} {}", problem.code, problem.object)).collect()
    }

    const ROUTE: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [{destination: {host: HOST}}]}]}
";
    const SERVICE: &str =
        "apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\nspec: {ports: [{port: 80, name: http}]}\n";

    #[test]
    fn a_file_takes_the_place_of_the_object_that_it_declares() {
        let cluster = || update(&format!("{SERVICE}---\n{}", ROUTE.replace("HOST", "nowhere")));
        let unknown_host = ["MS0501 VirtualService default/reviews"];
        assert_eq!(objects_of(&with_files(cluster(), Update::default())), unknown_host);
        assert!(with_files(cluster(), update(&ROUTE.replace("HOST", "reviews"))).is_empty());
    }

    #[test]
    fn what_was_wrong_with_an_object_in_the_cluster_is_not_said_of_the_file() {
        let broken = ROUTE.replace("hosts:", "host:");
        let count = |problems: Vec<Problem>| problems.iter().filter(|problem| problem.code == "MS0201").count();
        assert_eq!(count(with_files(update(&broken), Update::default())), 1);
        assert_eq!(count(with_files(update(&broken), update(&ROUTE.replace("HOST", "reviews")))), 0);
        assert_eq!(count(with_files(update(&broken), update(&broken))), 1);
    }
}
