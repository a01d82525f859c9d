//! What is read, and what breaks keeps its last good form.

mod moment;
mod saving;

use std::{fs, os::unix::fs::symlink, process::Command, time::Duration};

use mesh::model::{Change, Severity};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{batch::Batch, *};

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
fn a_directory_that_is_too_deep_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let deep = |levels: usize, name: &str| format!("{}{name}", "d/".repeat(levels));
    write(&directory, &deep(scan::DEPTH_MAX, "a.yaml"), &service("a", 80));
    write(&directory, &deep(scan::DEPTH_MAX + 1, "b.yaml"), &service("b", 80));
    write(&directory, &deep(scan::DEPTH_MAX + 2, "c.yaml"), &service("c", 80));
    let update = load(&[directory.path().to_owned()], &Settings::default());
    assert_eq!(shown(&update), ["set Service default/a"]);
    let errors = errors(&update);
    let path = directory.path().join(deep(scan::DEPTH_MAX + 1, "")).display().to_string();
    let place = format!("[{}:1:1]", path.trim_end_matches('/'));
    assert!(errors.len() == 1 && errors[0].ends_with(&format!("(move its files up) {place}")), "{errors:?}");
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
fn a_second_declaration_with_errors_is_not_called_one() {
    let directory = tempfile::tempdir().unwrap();
    let twice = |first: u16, second: u16| {
        write(&directory, "a.yaml", &service("a", first));
        write(&directory, "b.yaml", &service("a", second));
        let problems = errors(&load(&[directory.path().to_owned()], &Settings::default()));
        (problems.len(), problems.iter().filter(|problem| problem.contains("declared twice")).count())
    };
    assert_eq!(twice(0, 0), (2, 0), "each is told what is wrong with it");
    assert_eq!(twice(80, 0), (1, 0));
    assert_eq!(twice(0, 80), (2, 1), "the second one is not in force");
    assert_eq!(twice(80, 80), (1, 1));
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

#[test]
fn what_cannot_be_looked_at_holds_only_what_nobody_else_declares() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut state = State::new(vec![directory.path().to_owned()], Settings::default(), Watched::default());
    let mut look = || {
        state.refresh(&Dirty { extent: Extent::Tree, ..Dirty::default() });
        let update = state.reconcile();
        (shown(&update), errors(&update).join("\n"))
    };
    let lost: [(&str, &dyn Fn()); 2] = [
        ("leads nowhere", &|| symlink("nowhere", path("a.yaml")).unwrap()),
        ("is a pipe", &|| assert!(Command::new("mkfifo").arg(path("a.yaml")).status().unwrap().success())),
    ];
    for (reason, put) in lost {
        write(&directory, "a.yaml", &format!("{}---\n{}", service("a", 80), service("b", 80)));
        assert_eq!(look().0, ["set Service default/a", "set Service default/b"], "{reason}");
        fs::remove_file(path("a.yaml")).unwrap();
        put();
        let (changes, problems) = look();
        assert_eq!(changes, Vec::<String>::new());
        assert!(problems.contains(reason), "{problems}");
        // Another declaration counts at once, and is not the second one.
        write(&directory, "z.yaml", &service("a", 81));
        let (changes, problems) = look();
        assert_eq!(changes, ["set Service default/a"], "{reason}");
        assert!(!problems.contains("twice"), "{problems}");
        // What belongs to the other now goes with it.
        fs::remove_file(path("z.yaml")).unwrap();
        assert_eq!(look().0, ["remove Service default/a"], "{reason}");
        fs::remove_file(path("a.yaml")).unwrap();
        assert_eq!(look().0, ["remove Service default/b"], "{reason}");
    }
}

#[test]
fn a_file_that_can_be_looked_at_again_declares_what_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let (root, aside) = (directory.path().join("root"), directory.path().join("aside"));
    write(&directory, "root/a.yaml", &service("a", 80));
    let mut state = State::new(vec![root.clone()], Settings::default(), Watched::default());
    let mut look = || {
        state.refresh(&Dirty { extent: Extent::Tree, ..Dirty::default() });
        shown(&state.reconcile())
    };
    assert_eq!(look(), ["set Service default/a"]);
    fs::rename(&root, &aside).unwrap();
    assert_eq!(look(), Vec::<String>::new());
    // The same file, untouched.
    fs::rename(&aside, &root).unwrap();
    assert_eq!(look(), Vec::<String>::new());
    write(&directory, "root/z.yaml", &service("a", 81));
    assert_eq!(look(), Vec::<String>::new(), "the first one counts");
    fs::remove_file(root.join("a.yaml")).unwrap();
    assert_eq!(look(), ["set Service default/a"]);
}

#[tokio::test]
async fn dropping_the_watch_ends_it() {
    let (_directory, mut watch) = watching(&[("a.yaml", service("a", 80))]).await;
    watch.updates.close();
    let ended = timeout(DEADLINE, watch._tasks.join_next()).await.unwrap();
    assert!(ended.unwrap().is_ok());
}

#[test]
fn what_is_no_file_is_named_and_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    assert!(Command::new("mkfifo").arg(path("pipe.yaml")).arg(path("pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(path("socket.json")).unwrap();
    symlink("nowhere", path("link.yml")).unwrap();
    symlink("nowhere", path("link")).unwrap();
    write(&directory, "a.yaml", &service("a", 80));
    let loaded = load(&[directory.path().to_owned(), path("pipe")], &Settings::default());
    assert_eq!(shown(&loaded), ["set Service default/a"]);
    let errors = errors(&loaded);
    let expected = ["link.yml:1:1", "pipe:1:1", "pipe.yaml:1:1", "socket.json:1:1"];
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for name in expected {
        assert!(errors.iter().any(|error| error.contains(name)), "{name}: {errors:?}");
    }
}
