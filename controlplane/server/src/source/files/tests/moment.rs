//! What is seen of many files was true at one moment, however they are looked at.

use std::collections::BTreeSet;

use super::*;

/// Follows a mesh in which one service is never there without another.
fn never_without(seen: &mut BTreeSet<String>, update: Update) {
    for change in update.changes {
        match change {
            Change::Set(config) => drop(seen.insert(config.id().name.to_string())),
            Change::SetEndpoints(slice) => drop(seen.insert(slice.id.name.to_string())),
            Change::Remove(id) => drop(seen.remove(&*id.name)),
        }
    }
    assert!(seen.contains("first") || !seen.contains("second"), "{seen:?}");
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
        let mut seen = BTreeSet::new();
        while !finished.load(std::sync::atomic::Ordering::Relaxed) {
            state.refresh(&Dirty { extent: Extent::Tree, ..Dirty::default() });
            never_without(&mut seen, state.reconcile());
        }
    });
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
    let mut seen = BTreeSet::new();
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
async fn what_happens_while_files_are_read_is_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (mut events, watched) = events::Events::new();
    let mut state = State::new(vec![directory.path().to_owned()], Settings::default(), watched);
    state.refresh(&Dirty { extent: Extent::Tree, ..Dirty::default() });
    let mut batch = Batch::default();
    let now = tokio::time::Instant::now();
    state.hear(&mut events, &mut batch, now);
    assert_eq!(batch.due(now, now), None);
    replace(&directory, "second.yaml", &service("second", 80));
    state.hear(&mut events, &mut batch, now);
    let dirty = batch.take(now);
    assert!(batch.is_still(&dirty));
    // Between the look at what is dirty and the end of reading: a state of the second that never was with that of the first.
    replace(&directory, "first.yaml", &service("first", 81));
    replace(&directory, "second.yaml", &service("second", 81));
    state.refresh(&dirty);
    state.hear(&mut events, &mut batch, now);
    assert!(!batch.is_still(&dirty));
    let names = ["first.yaml", "second.yaml"].map(|name| directory.path().join(name));
    assert_eq!(batch.take(now).files, names.into());
}
