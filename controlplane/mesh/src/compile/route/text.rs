//! Texts that users can make long, cut to what a proxy should hold.

/// Longest name or prefix of statistics, in bytes: Envoy keeps each for as long as it runs.
pub(crate) const STAT_LEN_MAX: usize = 256;

/// The text, cut at a character so that it has at most `max` bytes.
pub(crate) fn bounded(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(bounded("abc", 3), "abc");
        assert_eq!(bounded("abcd", 3), "abc");
        assert_eq!(bounded("aüb", 2), "a");
        assert_eq!(bounded("ü", 0), "");
    }
}
