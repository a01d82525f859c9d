//! Edits of every kind come as one update, and what breaks keeps its last good form.

use std::{fs, time::Duration};

use mesh::model::{Change, Severity};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn service(name: &str, port: u16) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  ports:\n  - port: {port}\n")
}

fn write(directory: &TempDir, name: &str, text: &str) {
    let path = directory.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// As editors and Kubernetes do it: the new file is put in the place of the old one.
fn replace(directory: &TempDir, name: &str, text: &str) {
    let temporary = directory.path().join(format!(".{name}.tmp"));
    fs::write(&temporary, text).unwrap();
    fs::rename(temporary, directory.path().join(name)).unwrap();
}

fn shown(update: &Update) -> Vec<String> {
    let mut list: Vec<String> = update
        .changes
        .iter()
        .map(|change| match change {
            Change::Set(config) => format!("set {}", config.id()),
            Change::SetEndpoints(slice) => format!("set {}", slice.id),
            Change::Remove(id) => format!("remove {id}"),
        })
        .collect();
    list.sort();
    list
}

fn errors(update: &Update) -> Vec<String> {
    update.problems.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect()
}

async fn next(watch: &mut Watch) -> Update {
    timeout(DEADLINE, watch.next()).await.expect("no update came").expect("the watch has ended")
}

async fn silent(watch: &mut Watch) {
    // Longer than quiet and settling together; what comes is wrong, what does not come cannot be waited for.
    let update = timeout(Duration::from_millis(900), watch.next()).await;
    assert!(update.is_err(), "{update:?}");
}

async fn watching(files: &[(&str, String)]) -> (TempDir, Watch) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&directory, name, text);
    }
    let mut watch = watch(directory.path(), Settings::default());
    let first = next(&mut watch).await;
    assert_eq!(first.changes.len(), files.len(), "{:?}", shown(&first));
    (directory, watch)
}

#[test]
fn every_manifest_under_a_directory_is_read_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, "a.yaml", &service("a", 80));
    write(&directory, "deep/er/b.yml", &format!("{}---\n{}", service("b", 80), service("c", 80)));
    write(
        &directory,
        "d.JSON",
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"d"},"spec":{"ports":[{"port":80}]}}"#,
    );
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}", service("e", 80).trim_end().replace('\n', "\n  "));
    write(&directory, "e.yaml", &list);
    for name in [".hidden.yaml", "x.yaml~", "x.txt", ".git/x.yaml", "#x.yaml#", "x.yaml.swp"] {
        write(&directory, name, &service("wrong", 80));
    }
    let update = load(&[directory.path().to_owned()], &Settings::default());
    assert_eq!(errors(&update), Vec::<String>::new());
    assert_eq!(shown(&update), ["a", "b", "c", "d", "e"].map(|name| format!("set Service default/{name}")));
}

#[test]
fn an_object_declared_twice_counts_once_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, "a.yaml", &service("a", 80));
    write(&directory, "b.yaml", &service("a", 81));
    let update = load(&[directory.path().to_owned()], &Settings::default());
    assert_eq!(update.changes.len(), 1);
    let problems = errors(&update);
    assert!(problems[0].contains("declared twice") && problems[0].contains("b.yaml:1:1"), "{problems:?}");
}

#[test]
fn a_path_that_is_not_there_is_an_error() {
    let update = load(&["/no/such/file.yaml".into()], &Settings::default());
    assert!(errors(&update)[0].contains("cannot be read"), "{:?}", update.problems);
}

#[test]
fn text_that_is_not_utf8_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.yaml"), b"a: \xff\n").unwrap();
    let update = load(&[directory.path().to_owned()], &Settings::default());
    assert!(errors(&update)[0].contains("not UTF-8"), "{:?}", update.problems);
}

#[tokio::test]
async fn a_file_put_in_place_of_another_is_one_change() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80))]).await;
    replace(&directory, "a.yaml", &service("a", 81));
    let update = next(&mut watch).await;
    assert_eq!(shown(&update), ["set Service default/a"]);
    silent(&mut watch).await;
}

#[tokio::test]
async fn a_file_truncated_and_written_is_one_change() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80)), ("b.yaml", service("b", 80))]).await;
    write(&directory, "a.yaml", &service("a", 81));
    let update = next(&mut watch).await;
    assert_eq!(shown(&update), ["set Service default/a"]);
    assert_eq!(errors(&update), Vec::<String>::new());
    silent(&mut watch).await;
}

#[test]
fn a_file_that_looks_half_written_is_looked_at_again_before_it_counts() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, "a.yaml", &service("a", 80));
    let mut state = State::new(vec![directory.path().to_owned()], Settings::default());
    let all = || Dirty { all: true, ..Dirty::default() };
    assert!(state.refresh(&all()).suspicious.is_empty());
    assert_eq!(shown(&state.reconcile()), ["set Service default/a"]);
    let path = directory.path().join("a.yaml");
    for half in ["", "apiVersion: v1\nkind: Service\nmetadata: {name"] {
        write(&directory, "a.yaml", half);
        assert_eq!(state.refresh(&all()).suspicious, [path.clone()].into(), "{half:?}");
        write(&directory, "a.yaml", &service("a", 80));
        assert!(state.refresh(&all()).suspicious.is_empty());
        assert_eq!(shown(&state.reconcile()), Vec::<String>::new());
    }
    // What is still so when it is looked at again is meant.
    write(&directory, "a.yaml", "");
    assert!(!state.refresh(&all()).suspicious.is_empty());
    assert!(state.refresh(&all()).suspicious.is_empty());
    assert_eq!(shown(&state.reconcile()), ["remove Service default/a"]);
}

#[tokio::test]
async fn many_files_at_once_are_one_change() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80))]).await;
    for index in 0..200 {
        write(&directory, &format!(".aside/s{index:03}.yaml"), &service(&format!("s{index:03}"), 80));
    }
    silent(&mut watch).await;
    fs::rename(directory.path().join(".aside"), directory.path().join("new")).unwrap();
    let update = next(&mut watch).await;
    assert_eq!(update.changes.len(), 200);
}

#[tokio::test]
async fn a_new_directory_is_watched_too() {
    let (directory, mut watch) = watching(&[]).await;
    write(&directory, "new/a.yaml", &service("a", 80));
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/a"]);
    write(&directory, "new/a.yaml", &service("a", 81));
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/a"]);
}

#[tokio::test]
async fn a_broken_document_keeps_its_object_and_leaves_the_others() {
    let two = |port: u16, rest: &str| format!("{}---\n{}{rest}", service("a", port), service("b", port));
    let (directory, mut watch) = watching(&[("c.yaml", service("c", 80))]).await;
    write(&directory, "a.yaml", &two(80, ""));
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/a", "set Service default/b"]);
    // The second document breaks, the first changes: the first is taken, the second keeps its last good form.
    write(&directory, "a.yaml", &two(81, "  : [\n"));
    let update = next(&mut watch).await;
    assert_eq!(shown(&update), ["set Service default/a"]);
    assert!(errors(&update)[0].contains("not YAML"), "{:?}", update.problems);
    // Not even its name can be read any more.
    write(&directory, "a.yaml", &format!("{}---\n\"{}", service("a", 81), service("b", 81)));
    let update = next(&mut watch).await;
    assert_eq!(shown(&update), Vec::<String>::new());
    assert_eq!(errors(&update).len(), 1);
    write(&directory, "a.yaml", &two(81, ""));
    let update = next(&mut watch).await;
    assert_eq!(shown(&update), ["set Service default/b"]);
    assert_eq!(errors(&update), Vec::<String>::new());
}

#[tokio::test]
async fn a_field_that_is_wrong_keeps_the_object_and_a_file_that_goes_takes_it() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80)), ("b.yaml", service("b", 80))]).await;
    write(&directory, "a.yaml", &service("a", 0));
    let update = next(&mut watch).await;
    assert_eq!(shown(&update), Vec::<String>::new());
    assert_eq!(errors(&update).len(), 1);
    fs::remove_file(directory.path().join("a.yaml")).unwrap();
    assert_eq!(shown(&next(&mut watch).await), ["remove Service default/a"]);
}

#[tokio::test]
async fn an_object_that_moves_to_another_file_stays() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80))]).await;
    fs::rename(directory.path().join("a.yaml"), directory.path().join("z.yaml")).unwrap();
    // Only its place has changed.
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/a"]);
    silent(&mut watch).await;
}

#[tokio::test]
async fn a_mount_that_kubernetes_swaps_is_one_change() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let version = |name: &str, port| {
        fs::create_dir(root.join(name)).unwrap();
        for file in ["a", "b"] {
            fs::write(root.join(name).join(format!("{file}.yaml")), service(file, port)).unwrap();
        }
    };
    let link = |target: &str| {
        std::os::unix::fs::symlink(target, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    version("..1", 80);
    link("..1");
    for file in ["a.yaml", "b.yaml"] {
        std::os::unix::fs::symlink(format!("..data/{file}"), root.join(file)).unwrap();
    }
    let mut watch = watch(root, Settings::default());
    assert_eq!(next(&mut watch).await.changes.len(), 2);
    version("..2", 81);
    link("..2");
    fs::remove_dir_all(root.join("..1")).unwrap();
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/a", "set Service default/b"]);
}

#[tokio::test]
async fn a_directory_that_is_lost_keeps_all_and_is_found_again() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80))]).await;
    let aside = directory.path().with_extension("aside");
    fs::rename(directory.path(), &aside).unwrap();
    let update = next(&mut watch).await;
    assert_eq!(shown(&update), Vec::<String>::new());
    assert_eq!(errors(&update).len(), 1);
    fs::create_dir(directory.path()).unwrap();
    write(&directory, "a.yaml", &service("a", 81));
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/a"]);
    fs::remove_dir_all(aside).unwrap();
}

#[tokio::test]
async fn dropping_the_watch_ends_it() {
    let (_directory, mut watch) = watching(&[("a.yaml", service("a", 80))]).await;
    watch.updates.close();
    let ended = timeout(DEADLINE, watch._tasks.join_next()).await.unwrap();
    assert!(ended.unwrap().is_ok());
}

#[test]
fn what_is_seen_of_many_files_was_true_at_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    // The rest of the names lie between the two that belong together, so that looking takes a while.
    (0..200).for_each(|number| write(&directory, &format!("m{number}.yaml"), &service(&format!("m{number}"), 80)));
    let finished = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..300 {
                // The second is never there without the first.
                replace(&directory, "first.yaml", &service("first", 80));
                replace(&directory, "second.yaml", &service("second", 80));
                // If files never rest, there is no moment to see.
                std::thread::sleep(Duration::from_millis(5));
                fs::remove_file(root.join("second.yaml")).unwrap();
                fs::remove_file(root.join("first.yaml")).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
            finished.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let mut state = State::new(vec![root.clone()], Settings::default());
        let mut seen = std::collections::BTreeSet::new();
        while !finished.load(std::sync::atomic::Ordering::Relaxed) {
            state.refresh(&Dirty::default());
            for change in state.reconcile().changes {
                match change {
                    Change::Set(config) => drop(seen.insert(config.id().to_string())),
                    Change::SetEndpoints(slice) => drop(seen.insert(slice.id.to_string())),
                    Change::Remove(id) => drop(seen.remove(&id.to_string())),
                }
            }
            let has = |name: &str| seen.iter().any(|id| id.ends_with(&format!("/{name}")));
            assert!(has("first") || !has("second"), "{seen:?}");
        }
    });
}
