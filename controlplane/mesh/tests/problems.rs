//! The page of the documentation that lists what can be reported.

#[test]
#[expect(clippy::disallowed_methods, reason = "the command that rewrites golden files says so in the environment")]
fn golden_page_of_problems_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PROBLEMS.md");
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(path, mesh::model::code::page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == mesh::model::code::page(), "docs/PROBLEMS.md is out of date: rewrite it with `make golden`");
}
