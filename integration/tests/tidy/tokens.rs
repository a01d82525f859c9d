//! Rust source as words and signs: comments, strings and characters are dropped.

/// A word or a sign, and its line from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) line: usize,
    pub(crate) kind: Kind<'a>,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A name or a keyword.
    Word(&'a str),
    /// `::`
    PathSeparator,
    /// Any other sign.
    Sign(char),
}

/// The tokens of a source.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, kind) = token(rest, first);
        let (taken, after) = rest.split_at(length);
        if let Some(kind) = kind {
            found.push(Token { line, kind });
        }
        line += taken.matches('\n').count();
        rest = after;
    }
    found
}

/// The length of the first token, and what it is, if it counts.
fn token(rest: &str, first: char) -> (usize, Option<Kind<'_>>) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), None);
    }
    if let Some(length) = string(rest) {
        return (length, None);
    }
    if first == '\'' {
        return (quote(rest), None);
    }
    if rest.starts_with("::") {
        return (2, Some(Kind::PathSeparator));
    }
    if is_word(first) {
        let word = word(rest.strip_prefix("r#").unwrap_or(rest));
        let raw = if rest.starts_with("r#") { 2 } else { 0 };
        let kind = (!first.is_ascii_digit()).then_some(Kind::Word(word));
        return (raw + word.len(), kind);
    }
    let kind = (!first.is_whitespace()).then_some(Kind::Sign(first));
    (first.len_utf8(), kind)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn word(rest: &str) -> &str {
    rest.split_once(|character| !is_word(character)).map_or(rest, |(word, _)| word)
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..) {
        if here.is_empty() {
            break;
        } else if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a string literal of any sort, if one begins here.
fn string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| match prefix.contains('r') {
            true => after.trim_start_matches('#').starts_with('"'),
            false => after.starts_with('"'),
        })
    })?;
    let after = rest.strip_prefix(prefix)?;
    if prefix.contains('r') {
        let body = after.trim_start_matches('#');
        let hashes = after.len() - body.len();
        let end = format!("\"{}", "#".repeat(hashes));
        let inside = body.strip_prefix('"')?;
        let length = inside.find(&end).map_or(inside.len(), |found| found + end.len());
        return Some(prefix.len() + hashes + 1 + length);
    }
    let mut escaped = false;
    for (at, character) in after.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(prefix.len() + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// The length of a character literal, or of the quote alone where a lifetime begins.
fn quote(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            characters.next();
            characters.find(|(_, character)| *character == '\'').map_or(rest.len(), |(at, _)| at + 1)
        }
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            Some(_) | None => 1,
        },
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, tokens};

    fn words(source: &str) -> Vec<(usize, &str)> {
        let word = |token: super::Token<'static>| match token.kind {
            Kind::Word(word) => Some((token.line, word)),
            Kind::PathSeparator | Kind::Sign(_) => None,
        };
        let source: &'static str = Box::leak(source.to_owned().into_boxed_str());
        tokens(source).into_iter().filter_map(word).collect()
    }

    #[test]
    fn comments_and_strings_are_dropped() {
        assert_eq!(words("a // b\n/* c /* d */ e */ f"), [(1, "a"), (2, "f")]);
        assert_eq!(words(r#"a "b \" c" d "#), [(1, "a"), (1, "d")]);
        assert_eq!(words("a r#\"b \" c\"# d b\"e\" br\"f\" g"), [(1, "a"), (1, "d"), (1, "g")]);
        assert_eq!(words("a \"b\nc\" d"), [(1, "a"), (2, "d")]);
    }

    #[test]
    fn characters_are_dropped_and_lifetimes_do_no_harm() {
        assert_eq!(words(r"a 'b' '\'' '\u{1}' '{' c"), [(1, "a"), (1, "c")]);
        assert_eq!(words("fn f<'a>(x: &'a str)"), [(1, "fn"), (1, "f"), (1, "a"), (1, "x"), (1, "a"), (1, "str")]);
        assert_eq!(words("r#type 1_000u32 x"), [(1, "type"), (1, "x")]);
    }
}
