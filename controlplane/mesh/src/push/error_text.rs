//! The words with which a proxy refuses a response, made fit for logs and tables.

use std::sync::Arc;

/// One line of at most `len_max` bytes. Control characters and runs of spaces become one space, and Envoy's
/// randomised `goo.gle/debug…` markers go: it puts them before debug text so that nobody compares it.
pub(super) fn normalised(text: &str, len_max: usize) -> Arc<str> {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() || word.starts_with("goo.gle/debug") {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > len_max {
            break;
        }
    }
    capped(&line, len_max)
}

/// The text itself, or its beginning and an ellipsis when it is longer than `len_max` bytes.
pub(super) fn capped(text: &str, len_max: usize) -> Arc<str> {
    const ELLIPSIS: &str = "…";
    if text.len() <= len_max {
        return text.into();
    }
    let end = text.floor_char_boundary(len_max.saturating_sub(ELLIPSIS.len()));
    let (start, _) = text.split_at(end);
    format!("{start}{ELLIPSIS}").into()
}

/// Whether the text has the name as a word of its own: a hint at the culprit, never a proof.
pub(super) fn names(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '|' | '/');
    !name.is_empty()
        && text.match_indices(name).any(|(at, _)| {
            let (before, rest) = text.split_at(at);
            let after = rest.strip_prefix(name).unwrap_or_default();
            !before.ends_with(is_part) && !after.starts_with(is_part)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_and_runs_of_spaces_go() {
        let text = "goo.gle/debugproto   Error adding\n listener\u{0} x:\tgoo.gle/debugstr bad port";
        assert_eq!(&*normalised(text, 100), "Error adding listener x: bad port");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "é".repeat(5_000);
        let short = normalised(&text, 4_096);
        assert!(short.len() <= 4_096);
        assert!(short.ends_with('…'));
    }

    #[test]
    fn a_limit_shorter_than_the_ellipsis_is_no_panic() {
        assert_eq!(&*normalised("abcdef", 1), "…");
    }

    #[test]
    fn a_name_is_found_only_as_a_word_of_its_own() {
        assert!(names("Error adding/updating cluster(s) reviews: bad", "reviews"));
        assert!(!names("Error adding/updating cluster(s) reviews-v2: bad", "reviews"));
        assert!(names("cluster outbound|80||a.b: outbound|80||a", "outbound|80||a"));
        assert!(!names("anything", ""));
    }
}
