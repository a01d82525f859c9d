//! Edits of every kind come as one update.

use std::{io::Write as _, time::Instant};

use super::*;
use crate::source::files::batch::QUIET_MAX;

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
async fn nobody_waits_for_a_file_that_is_open() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80)), ("b.yaml", service("b", 80))]).await;
    let mut file = fs::File::create(directory.path().join("a.yaml")).unwrap();
    file.write_all(service("c", 80).as_bytes()).unwrap();
    replace(&directory, "b.yaml", &service("b", 81));
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/b"]);
    file.write_all(format!("---\n{}", service("a", 81)).as_bytes()).unwrap();
    drop(file);
    assert_eq!(shown(&next(&mut watch).await), ["set Service default/a", "set Service default/c"]);
}

#[tokio::test]
async fn a_file_that_is_open_is_waited_for_while_others_never_rest() {
    // On a busy machine a file may be open for longer than it is waited for. That says nothing, and is done again.
    for _ in 0..10 {
        let (open_for, seen) = edit_one_file_while_others_never_rest().await;
        if open_for < QUIET_MAX {
            assert!(!seen.contains(&"remove Service default/a".to_owned()), "{seen:?}");
            return;
        }
    }
    panic!("this machine is too busy to write a file within {QUIET_MAX:?}");
}

/// How long the file was open at most, and what was seen.
async fn edit_one_file_while_others_never_rest() -> (Duration, Vec<String>) {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80)), ("b.yaml", service("b", 80))]).await;
    let writer = tokio::task::spawn_blocking(move || {
        let mut ports = (81..60_000).cycle();
        let mut edit = |times: u32| {
            for port in ports.by_ref().take(times as usize) {
                replace(&directory, "b.yaml", &service("b", port));
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        let mut open_for = Duration::ZERO;
        for port in 81..86 {
            let opened = Instant::now();
            let mut file = fs::File::create(directory.path().join("a.yaml")).unwrap();
            file.write_all(service("c", port).as_bytes()).unwrap();
            edit(20);
            file.write_all(format!("---\n{}", service("a", port)).as_bytes()).unwrap();
            drop(file);
            open_for = open_for.max(opened.elapsed());
            edit(3);
        }
        replace(&directory, "last.yaml", &service("last", 80));
        (directory, open_for)
    });
    let mut seen = Vec::new();
    while !seen.contains(&"set Service default/last".to_owned()) {
        seen.extend(shown(&next(&mut watch).await));
    }
    let (_directory, open_for) = writer.await.unwrap();
    (open_for, seen)
}

#[tokio::test]
async fn every_way_of_saving_is_one_change() {
    let (directory, mut watch) = watching(&[("a.yaml", service("a", 80))]).await;
    let path = |name: &str| directory.path().join(name);
    type Save<'a> = &'a dyn Fn(&str);
    let ways: [(&str, Save<'_>); 5] = [
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
