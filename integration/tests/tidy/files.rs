//! What a file looks like: its name, its opening, its length, and what it must not hold.

use crate::tokens::{Kind, tokens};
use crate::{Source, Violation};

/// Lines of a Rust file; a good one has fewer than 500.
const LINES_MAX: usize = 700;
/// Names that say nothing of what a file holds.
const NAMELESS: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "misc", "shared_utils", "stuff"];
/// Macros of unfinished work.
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];
/// Where somebody's machine keeps things. Put together here, so that this file does not hold them.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/", "root/"), concat!("/", "work/"), concat!("/", "home/"), concat!("/", "Users/")];

/// Rules for every file.
pub(crate) fn check_any(source: &Source) -> Vec<Violation> {
    let machine_path = |line: &str| {
        MACHINE_PATHS.iter().copied().find(|path| {
            line.match_indices(path)
                .any(|(at, _)| !line.get(..at).is_some_and(|before| before.ends_with(continues_path)))
        })
    };
    source
        .text
        .lines()
        .zip(1..)
        .filter_map(|(line, number)| {
            let path = machine_path(line)?;
            Some(violation(source, number, format!("names a path of one machine ({path}…)"), "make it relative"))
        })
        .collect()
}

/// Whether a path goes on after this character, so that what follows is not its root.
fn continues_path(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '}' | ')' | '*' | '/')
}

/// Rules for Rust files.
pub(crate) fn check_rust(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut put = |line, rule: String, remedy| found.push(violation(source, line, rule, remedy));
    let names = source.path.trim_end_matches(".rs").split('/');
    if source.path.ends_with("/mod.rs") {
        put(1, "is called mod.rs".to_owned(), "name it after its module, beside the folder");
    }
    for name in names.filter(|name| NAMELESS.contains(name)) {
        put(1, format!("the name `{name}` does not say what it holds"), "name it for what it holds");
    }
    if !source.text.starts_with("//! ") {
        put(1, "does not open with `//!`".to_owned(), "open it with one sentence that says what it holds");
    }
    let lines = source.text.lines().count();
    if lines > LINES_MAX {
        put(
            lines,
            format!("has {lines} lines, more than {LINES_MAX}"),
            "look for the second thing it does and move it",
        );
    }
    let tokens = tokens(&source.text);
    for pair in tokens.windows(2) {
        if let [first, second] = pair
            && let (Kind::Word(word), Kind::Sign('!')) = (first.kind, second.kind)
            && UNFINISHED.contains(&word)
        {
            put(first.line, format!("`{word}!` is unfinished work"), "finish it, or return a problem that says so");
        }
    }
    found
}

fn violation(source: &Source, line: usize, rule: String, remedy: &'static str) -> Violation {
    Violation { file: source.path.clone(), line, rule, remedy }
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, check_any, check_rust};
    use crate::Source;

    fn rust(path: &str, text: &str) -> Vec<(usize, String)> {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        check_rust(&source).into_iter().map(|violation| (violation.line, violation.rule)).collect()
    }

    fn any(text: &str) -> usize {
        check_any(&Source { path: "README.md".to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn a_good_file_passes() {
        assert_eq!(rust("mesh/src/route.rs", "//! Routes.\n\n// todo!()\nfn f() { \"dbg!\"; }\n"), []);
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(rust("mesh/src/route/mod.rs", "//! Routes.\n").len(), 1);
        assert_eq!(rust("mesh/src/util.rs", "//! Routes.\n").len(), 1);
        assert_eq!(rust("mesh/src/helpers/route.rs", "//! Routes.\n").len(), 1);
    }

    #[test]
    fn the_opening_and_the_length_are_checked() {
        assert_eq!(rust("a.rs", "use b;\n"), [(1, "does not open with `//!`".to_owned())]);
        let long = format!("//! Long.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(rust("a.rs", &long).first().map(|(line, _)| *line), Some(LINES_MAX + 1));
    }

    #[test]
    fn unfinished_work_is_found() {
        for word in ["todo", "unimplemented", "dbg"] {
            assert_eq!(rust("a.rs", &format!("//! A.\nfn f() {{\n {word}!() }}\n")).len(), 1, "{word}");
        }
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        let root = concat!("/", "root/");
        assert_eq!(any(&format!("see {root}x and\n`{root}y`")), 2);
        assert_eq!(any(&format!("see a{root}x, ${{A}}{root}x")), 0, "the middle of another path");
    }
}
