//! The tree knows what was written where, and survives whatever is written.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn one(text: &str) -> Node {
    let mut documents = parse(text);
    assert_eq!(documents.len(), 1, "{documents:?}");
    let document = documents.remove(0);
    assert_eq!(document.error, None);
    document.root.unwrap()
}

fn at(node: &Node) -> (u32, u32) {
    (node.position.line, node.position.column)
}

#[test]
fn every_key_and_value_has_its_line_and_column() {
    let root = one("a: 1\nb:\n  - x\n  - {c: yes, d: [true]}\n");
    assert_eq!(at(root.field("a").unwrap()), (1, 4));
    let b = root.entry("b").unwrap();
    assert_eq!((b.position.line, b.position.column), (2, 1));
    let map = &b.value.items()[1];
    assert_eq!(at(map.field("c").unwrap()), (4, 9));
    assert_eq!(at(&map.field("d").unwrap().items()[0]), (4, 18));
}

#[test]
fn later_documents_count_lines_from_the_beginning_of_the_file() {
    let documents = parse("a: 1\n---\n\nb: 2\n");
    assert_eq!(at(documents[1].root.as_ref().unwrap().field("b").unwrap()), (4, 4));
}

#[test]
fn plain_scalars_mean_what_yaml_says() {
    let root = one(
        "[1, -2, 1.5, 0x10, 0o17, true, null, ~, yes, 1.2.3, 1e3, .inf, .nan, '1', \"true\", 99999999999999999999]",
    );
    let json: Vec<String> = root.items().iter().map(|n| n.to_json().to_string()).collect();
    assert_eq!(
        json,
        [
            "1",
            "-2",
            "1.5",
            "16",
            "15",
            "true",
            "null",
            "null",
            "\"yes\"",
            "\"1.2.3\"",
            "1000.0",
            "\".inf\"",
            "\".nan\"",
            "\"1\"",
            "\"true\"",
            "1e+20"
        ]
    );
}

#[test]
fn json_is_yaml() {
    let root = one("{\n\t\"a\": {\"b\": [1, \"x\\/y\\u0041\"], \"c\":null}\n}\n");
    assert_eq!(root.to_json(), serde_json::json!({"a": {"b": [1, "x/yA"]}}));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let root = one("\u{feff}a:\r\n  - b\r\n  - c: |\r\n      x\r\n");
    assert_eq!(root.to_json(), serde_json::json!({"a": ["b", {"c": "x\n"}]}));
}

#[test]
fn an_error_in_one_document_leaves_the_others() {
    let documents = parse("a: 1\n---\nkind: X\nb: [1\nc: }\n---\nd: 4\n");
    assert_eq!(documents.len(), 3);
    assert!(documents[0].error.is_none() && documents[2].error.is_none());
    let error = documents[1].error.as_ref().unwrap();
    assert!((4..=5).contains(&error.position.line), "{error:?}");
    assert_eq!(documents[1].root.as_ref().unwrap().field("kind").unwrap().text(), Some("X"));
}

#[test]
fn aliases_and_merge_keys_are_written_out() {
    let root = one("a: &x {p: 1, q: 2}\nb: *x\nc: {<<: *x, q: 3}\n");
    assert_eq!(
        root.to_json(),
        serde_json::json!({"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 2}, "c": {"q": 3, "p": 1}})
    );
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let documents = parse(&text);
    let error = documents[0].error.as_ref().unwrap();
    assert!(error.limit && error.reason.contains("aliases"), "{error:?}");
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(10_000), "- ".repeat(10_000), "{a: ".repeat(5_000), "? ".repeat(10_000)] {
        let documents = parse(&text);
        assert!(documents[0].error.is_some());
    }
}

#[test]
fn keys_that_are_not_text_are_refused() {
    assert!(parse("? [a]\n: b\n")[0].error.is_some());
    assert!(parse("{[a]: b}\n")[0].error.is_some());
    assert!(parse("&a [*a]\n")[0].error.is_some());
}

fn bounded(text: &str) {
    let start = Instant::now();
    let _ = parse(text);
    assert!(start.elapsed() < Duration::from_secs(60), "took {:?} for {} bytes", start.elapsed(), text.len());
}

#[test]
fn large_input_of_every_shape_ends_in_bounded_time() {
    const BYTES: usize = 400_000;
    for unit in [
        "a", "'", "\"", "[", "{", "- ", "? ", ": ", "a: ", "a:\n", "#", "&a ", "*a ", "!a ", "|\n", ">\n x\n", "\t",
        "\n", "\r", "%", "[a, ", "{a: b, ", "- - ", " ", "\u{85}", "'a'\n", "a,", "]", "}", "---\n", "...\n", "\\",
        "\"\\u", "\"a\n", "@", "`", "\u{0}", "[?", "{?", "?\n",
    ] {
        bounded(&unit.repeat(BYTES / unit.len()));
        bounded(&format!("a: {}", unit.repeat(BYTES / unit.len())));
        bounded(&format!("[{}", unit.repeat(BYTES / unit.len())));
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        bounded(&text);
    }

    #[test]
    fn no_mixture_of_yaml_signs_makes_it_panic(
        parts in proptest::collection::vec(
            prop::sample::select(vec![
                "a", ":", " ", "\n", "- ", "[", "]", "{", "}", ",", "'", "\"", "|", ">", "&x", "*x", "!t ", "? ", "#",
                "---", "...", "\t", "%YAML 1.2", "<<: ", "  ", "\\", "\r", "0", "~",
            ]),
            0..120,
        )
    ) {
        bounded(&parts.concat());
    }
}

#[test]
fn a_small_text_cannot_ask_for_memory_without_end() {
    let text = "t".repeat(200_000);
    let values = format!("a: &a {text}\nb: [{}]\n", "*a, ".repeat(20_000));
    let keys = format!("a: &a {text}\nb:\n{}", "- {*a : 1}\n".repeat(20_000));
    let nested = format!("{}{text}{}", "&x [".repeat(90), "]".repeat(90));
    for bomb in [values, keys, nested] {
        let found = parse(&bomb);
        assert!(found.iter().any(|document| document.error.as_ref().is_some_and(|error| error.limit)));
    }
}

#[test]
fn an_alias_stands_for_a_key_that_was_anchored() {
    let found = parse("&k name: a\nother: *k\n");
    assert!(found.iter().all(|document| document.error.is_none()));
}
