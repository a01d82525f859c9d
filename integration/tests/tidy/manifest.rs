//! What a crate may depend on: the compiler must stay pure, every crate has the lints of the workspace.

use crate::{Source, Violation};

/// A crate that must do without some others.
struct Pure {
    manifest: &'static str,
    without: &'static [&'static str],
}

const PURE: [Pure; 3] = [
    Pure {
        manifest: "controlplane/mesh/Cargo.toml",
        without: &[
            "axum",
            "ca",
            "futures",
            "http",
            "hyper",
            "hyper-util",
            "inotify",
            "kube",
            "mainsheet",
            "mimalloc",
            "rustls",
            "tempfile",
            "tokio",
            "tokio-rustls",
            "tokio-stream",
            "tonic",
            "tonic-prost",
            "tower",
            "tracing",
            "tracing-subscriber",
        ],
    },
    Pure { manifest: "ca/Cargo.toml", without: &["axum", "kube", "mesh", "tokio", "tonic"] },
    Pure { manifest: "proto/Cargo.toml", without: &["ca", "kube", "mesh", "rustls", "tokio"] },
];

/// What is wrong with a manifest.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let without = PURE.iter().find(|pure| pure.manifest == source.path).map_or(&[][..], |pure| pure.without);
    let mut found: Vec<Violation> = dependencies(&source.text)
        .filter(|(_, name)| without.contains(name))
        .map(|(line, name)| Violation {
            file: source.path.clone(),
            line,
            rule: format!("this crate does without `{name}`"),
            remedy: "move what needs it to the server, or take its result as an argument",
        })
        .collect();
    if source.text.contains("[package]") && !source.text.contains("[lints]\nworkspace = true") {
        found.push(Violation {
            file: source.path.clone(),
            line: 1,
            rule: "the lints of the workspace are not in force".to_owned(),
            remedy: "add `[lints]` with `workspace = true`",
        });
    }
    found
}

/// The names in every table of dependencies, tests' and build's included, with their lines.
fn dependencies(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut within = false;
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let line = line.trim();
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            within = table.ends_with("dependencies");
            // A table of its own: `[dependencies.tokio]`.
            return table.rsplit_once("dependencies.").map(|(_, name)| (number, name));
        }
        let name = line.split_once(['=', '.', ' '])?.0.trim_matches('"');
        (within && !line.starts_with('#')).then_some((number, name))
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::Source;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let source = Source { path: path.to_owned(), text: format!("{text}\n[lints]\nworkspace = true\n") };
        check(&source).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn the_compiler_does_without_a_runtime_however_it_is_written() {
        let mesh = "controlplane/mesh/Cargo.toml";
        assert_eq!(lines(mesh, "[dependencies]\nbytes.workspace = true\ntokio.workspace = true"), [3]);
        assert_eq!(
            lines(mesh, "[dev-dependencies]\ntokio = \"1\"\n[target.'cfg(unix)'.dependencies]\nkube={}"),
            [2, 4]
        );
        assert_eq!(lines(mesh, "[dependencies.tonic]\nversion = \"1\""), [1]);
        assert_eq!(lines(mesh, "[package]\ntokio = 1\n[dependencies]\n# tokio\nindexmap = \"2\""), Vec::<usize>::new());
        assert_eq!(lines("agent/Cargo.toml", "[dependencies]\ntokio = \"1\""), Vec::<usize>::new());
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let source = Source { path: "a/Cargo.toml".to_owned(), text: "[package]\nname = \"a\"\n".to_owned() };
        assert_eq!(check(&source).len(), 1);
    }
}
