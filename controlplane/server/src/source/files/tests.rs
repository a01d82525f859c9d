//! Edits of every kind come as one update, and what breaks keeps its last good form.

use std::{fs, io::Write as _, os::unix::fs::symlink, process::Command, time::Duration};

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
    let update = load(&[directory.path().to_owned()], &Settings::default()).update;
    assert_eq!(errors(&update), Vec::<String>::new());
    assert_eq!(shown(&update), ["a", "b", "c", "d", "e"].map(|name| format!("set Service default/{name}")));
}

#[test]
fn an_object_declared_twice_counts_once_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, "a.yaml", &service("a", 80));
    write(&directory, "b.yaml", &service("a", 81));
    let update = load(&[directory.path().to_owned()], &Settings::default()).update;
    assert_eq!(update.changes.len(), 1);
    let problems = errors(&update);
    assert!(problems[0].contains("declared twice") && problems[0].contains("b.yaml:1:1"), "{problems:?}");
}

#[test]
fn a_path_that_is_not_there_is_an_error() {
    let update = load(&["/no/such/file.yaml".into()], &Settings::default()).update;
    assert!(errors(&update)[0].contains("cannot be read"), "{:?}", update.problems);
}

#[test]
fn text_that_is_not_utf8_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.yaml"), b"a: \xff\n").unwrap();
    let update = load(&[directory.path().to_owned()], &Settings::default()).update;
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
    let mut state = State::new(vec![directory.path().to_owned()], Settings::default(), Watched::default());
    let all = || Dirty { extent: Extent::Content, ..Dirty::default() };
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
        symlink(target, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    version("..1", 80);
    link("..1");
    for file in ["a.yaml", "b.yaml"] {
        symlink(format!("..data/{file}"), root.join(file)).unwrap();
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
    let ended = timeout(DEADLINE, watch._task.join_next()).await.unwrap();
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
        let mut state = State::new(vec![root.clone()], Settings::default(), Watched::default());
        let mut seen = std::collections::BTreeSet::new();
        while !finished.load(std::sync::atomic::Ordering::Relaxed) {
            state.refresh(&Dirty { extent: Extent::Tree, ..Dirty::default() });
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

/// Follows a mesh in which one service is never there without another.
fn never_without(seen: &mut std::collections::BTreeSet<String>, update: Update) {
    for change in update.changes {
        match change {
            Change::Set(config) => drop(seen.insert(config.id().name.to_string())),
            Change::SetEndpoints(slice) => drop(seen.insert(slice.id.name.to_string())),
            Change::Remove(id) => drop(seen.remove(&*id.name)),
        }
    }
    assert!(seen.contains("first") || !seen.contains("second"), "{seen:?}");
}

#[tokio::test]
async fn what_is_told_of_many_files_was_true_at_one_moment() {
    let (directory, mut watch) = watching(&[("last.yaml", service("last", 80))]).await;
    let root = directory.path().to_owned();
    let writer = tokio::task::spawn_blocking(move || {
        for round in 0..60 {
            replace(&directory, "first.yaml", &service("first", 80));
            replace(&directory, "second.yaml", &service("second", 80));
            // Some are taken one by one, some together.
            std::thread::sleep(Duration::from_millis(round % 12));
            fs::remove_file(root.join("second.yaml")).unwrap();
            fs::remove_file(root.join("first.yaml")).unwrap();
            std::thread::sleep(Duration::from_millis(round % 60));
        }
        replace(&directory, "last.yaml", &service("last", 81));
        directory
    });
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let update = next(&mut watch).await;
        let is_last = update
            .changes
            .iter()
            .any(|change| matches!(change, Change::Set(config) if config.id().name.as_ref() == "last"));
        never_without(&mut seen, update);
        if is_last {
            break;
        }
    }
    drop(writer.await.unwrap());
}

#[test]
fn a_file_that_was_told_of_is_looked_at_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut state = State::new(vec![directory.path().to_owned()], Settings::default(), Watched::default());
    let tree = || Dirty { extent: Extent::Tree, ..Dirty::default() };
    let only = |name: &str| Dirty { files: [path(name)].into(), ..Dirty::default() };
    let change = |state: &mut State, name: &str, port: u16, dirty: &Dirty| {
        write(&directory, name, &service(name.trim_end_matches(".yaml"), port));
        state.refresh(dirty);
        shown(&state.reconcile())
    };
    assert_eq!(change(&mut state, "a.yaml", 80, &tree()), ["set Service default/a"]);
    assert_eq!(change(&mut state, "b.yaml", 80, &only("a.yaml")), Vec::<String>::new());
    assert_eq!(change(&mut state, "c.yaml", 80, &only("c.yaml")), ["set Service default/c"]);
    assert_eq!(change(&mut state, "a.yaml", 81, &only("b.yaml")), ["set Service default/b"]);
    // Where a file may have two names, one that was told of may be any other too.
    fs::hard_link(path("c.yaml"), path("d.yaml")).unwrap();
    assert_eq!(change(&mut state, "e.yaml", 80, &only("d.yaml")).len(), 2, "a and e");
    assert_eq!(change(&mut state, "f.yaml", 80, &only("a.yaml")), ["set Service default/f"]);
    fs::remove_file(path("f.yaml")).unwrap();
    fs::remove_file(path("d.yaml")).unwrap();
    state.refresh(&tree());
    assert_eq!(shown(&state.reconcile()), ["remove Service default/f"]);
    fs::remove_file(path("a.yaml")).unwrap();
    fs::remove_file(path("b.yaml")).unwrap();
    state.refresh(&only("a.yaml"));
    assert_eq!(shown(&state.reconcile()), ["remove Service default/a"]);
}

#[tokio::test]
async fn a_file_that_is_open_is_waited_for() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80)), ("b.yaml", service("b", 80))]).await;
    // What is there in the pause is a file without a fault, and longer than quiet; but a document is missing.
    let mut file = fs::File::create(directory.path().join("a.yaml")).unwrap();
    file.write_all(service("c", 80).as_bytes()).unwrap();
    tokio::time::sleep(Duration::from_millis(120)).await;
    file.write_all(format!("---\n{}", service("a", 81)).as_bytes()).unwrap();
    drop(file);
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/a", "set Service default/c"]);
}

#[tokio::test]
async fn every_way_of_saving_is_one_change() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80))]).await;
    let path = |name: &str| directory.path().join(name);
    let ways: [(&str, &dyn Fn(&str)); 5] = [
        ("beside and in place, under a visible name", &|text| {
            fs::write(path("sedAbCdEf"), text).unwrap();
            fs::rename(path("sedAbCdEf"), path("a.yaml")).unwrap();
        }),
        ("the old one aside, then anew", &|text| {
            fs::write(path("4913"), "").unwrap();
            fs::remove_file(path("4913")).unwrap();
            fs::rename(path("a.yaml"), path("a.yaml~")).unwrap();
            fs::write(path("a.yaml"), text).unwrap();
            fs::remove_file(path("a.yaml~")).unwrap();
        }),
        ("a second name aside, then over it", &|text| {
            fs::hard_link(path("a.yaml"), path("a.yaml~")).unwrap();
            fs::write(path(".a.yaml.new"), text).unwrap();
            fs::rename(path(".a.yaml.new"), path("a.yaml")).unwrap();
        }),
        ("removed, then anew", &|text| {
            fs::remove_file(path("a.yaml")).unwrap();
            fs::write(path("a.yaml"), text).unwrap();
        }),
        ("in several writes", &|text| {
            let mut file = fs::File::create(path("a.yaml")).unwrap();
            text.lines().for_each(|line| writeln!(file, "{line}").unwrap());
        }),
    ];
    for (port, (way, save)) in (81..).zip(ways) {
        save(&service("a", port));
        let update = next(&mut watch).await;
        assert_eq!((shown(&update), errors(&update)), (vec!["set Service default/a".to_owned()], Vec::new()), "{way}");
    }
    silent(&mut watch).await;
}

#[tokio::test]
async fn files_written_one_after_another_are_one_change() {
    let (directory, mut watch) = watching(&[("new/a.yaml", service("a", 80))]).await;
    for index in 0..100 {
        write(&directory, &format!("new/s{index:03}.yaml"), &service(&format!("s{index:03}"), 80));
        write(&directory, &format!("other/deep/t{index:03}.yaml"), &service(&format!("t{index:03}"), 80));
    }
    assert_eq!(next(&mut watch).await.changes.len(), 200);
}

#[tokio::test]
async fn a_tree_that_is_being_copied_is_one_change() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80))]).await;
    // Slower than quiet as a whole; directories appear with files in them before anybody can watch them.
    for index in 0..15 {
        write(&directory, &format!("new/{index}/b.yaml"), &service(&format!("s{index}"), 80));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(next(&mut watch).await.changes.len(), 15);
    // And all of it is watched.
    write(&directory, "new/14/b.yaml", &service("s14", 81));
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/s14"]);
}

#[tokio::test]
async fn a_file_behind_a_link_is_followed_too() {
    let outside = tempfile::tempdir().unwrap();
    write(&outside, "target.yaml", &service("a", 80));
    let (directory, mut watch) = watching(&[("b.yaml", service("b", 80))]).await;
    symlink(outside.path().join("target.yaml"), directory.path().join("a.yaml")).unwrap();
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/a"]);
    replace(&outside, "target.yaml", &service("a", 81));
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/a"]);
    // A link that leads nowhere any more says so, and what it led to stays.
    fs::remove_file(outside.path().join("target.yaml")).unwrap();
    let update = next(&mut watch).await;
    assert_eq!(shown(&update), Vec::<String>::new());
    assert!(errors(&update)[0].contains("leads nowhere"), "{:?}", update.problems);
    fs::remove_file(directory.path().join("a.yaml")).unwrap();
    assert_eq!(shown(&next(&mut watch).await), ["remove Service default/a"]);
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
    assert_eq!(shown(&loaded.update), ["set Service default/a"]);
    let errors = errors(&loaded.update);
    let expected = ["link.yml:1:1", "pipe:1:1", "pipe.yaml:1:1", "socket.json:1:1"];
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for name in expected {
        assert!(errors.iter().any(|error| error.contains(name)), "{name}: {errors:?}");
    }
}
