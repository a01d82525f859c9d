//! Strings to match, and regular expressions that both Envoy's RE2 and our own checks understand.

use mesh::model::{
    code,
    string_match::{PATTERN_LEN_MAX, StringMatch, ValueMatch},
};
use regex_syntax::ast::{self, AssertionKind, Ast, ClassSetItem, Flag, FlagsItemKind, RepetitionKind, RepetitionRange};

use super::Conversion;
use crate::source::{path::Path, wire};

/// Largest compiled form of a pattern, in bytes.
const COMPILED_LEN_MAX: usize = 1 << 20;
/// Most repetitions that RE2 counts.
const REPETITIONS_MAX: u32 = 1000;

impl Conversion<'_> {
    /// A comparison that must compare something.
    pub(super) fn string_match(&mut self, value: Option<wire::StringMatch>, path: Path<'_>) -> Option<StringMatch> {
        match self.value_match(value?, path)? {
            ValueMatch::Value(value) => Some(value),
            ValueMatch::Present => {
                self.error(code::MISSING_FIELD, path, "compares with nothing", "add exact, prefix or regex");
                None
            }
        }
    }

    /// A comparison that may only ask for presence.
    pub(super) fn value_match(&mut self, value: wire::StringMatch, path: Path<'_>) -> Option<ValueMatch> {
        let wire::StringMatch { exact, prefix, regex } = value;
        let given = [("exact", exact), ("prefix", prefix), ("regex", regex)];
        let mut given = given.into_iter().filter_map(|(name, text)| text.map(|text| (name, text)));
        let Some((name, text)) = given.next() else { return Some(ValueMatch::Present) };
        if let Some((other, _)) = given.next() {
            self.error(
                code::CONFLICTING_FIELDS,
                path.field(other),
                format!("{name} and {other} exclude each other"),
                "remove one of them",
            );
            return None;
        }
        if text.len() > PATTERN_LEN_MAX {
            let reason = format!("is {} bytes long, at most {PATTERN_LEN_MAX} are allowed", text.len());
            self.error(code::LIMIT, path.field(name), reason, "");
            return None;
        }
        Some(ValueMatch::Value(match name {
            "exact" => StringMatch::Exact(text),
            "prefix" => StringMatch::Prefix(text),
            _ => StringMatch::Regex(self.pattern(text, path.field(name))?),
        }))
    }

    /// A regular expression.
    pub(super) fn pattern(&mut self, text: String, path: Path<'_>) -> Option<String> {
        match check(&text) {
            Ok(_) => Some(text),
            Err(reason) => {
                self.error(code::BAD_PATTERN, path, reason, "write it in RE2 syntax");
                None
            }
        }
    }
}

/// Checks a regular expression, and counts its groups.
///
/// # Errors
/// Why Envoy would not take it.
pub(super) fn check(text: &str) -> Result<u32, String> {
    if text.len() > PATTERN_LEN_MAX {
        return Err(format!("is {} bytes long, at most {PATTERN_LEN_MAX} are allowed", text.len()));
    }
    let ast = ast::parse::ParserBuilder::new()
        .nest_limit(50)
        .build()
        .parse(text)
        .map_err(|error| format!("{} at character {}", error.kind(), error.span().start.column))?;
    let dialect = ast::visit(&ast, Dialect::default())?;
    // RE2 compares bytes unless a class asks for Unicode, and a pattern is only refused when neither form fits.
    let fits = |unicode| {
        regex::bytes::RegexBuilder::new(text).unicode(unicode).size_limit(COMPILED_LEN_MAX).build().map(|_| ())
    };
    match fits(false).or_else(|_| fits(true)) {
        Ok(()) => Ok(dialect.groups),
        Err(regex::Error::CompiledTooBig(_)) => Err("is too large when compiled: count fewer repetitions".into()),
        Err(error) => Err(error.to_string().lines().last().unwrap_or_default().to_owned()),
    }
}

/// Finds what our parser takes but RE2 does not.
#[derive(Debug, Default)]
struct Dialect {
    groups: u32,
}

impl ast::Visitor for Dialect {
    type Output = Self;
    type Err = String;

    fn finish(self) -> Result<Self, String> {
        Ok(self)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::Group(group) => {
                if let ast::GroupKind::NonCapturing(flags) = &group.kind {
                    check_flags(flags)?;
                } else {
                    self.groups = self.groups.saturating_add(1);
                }
                Ok(())
            }
            Ast::Flags(flags) => check_flags(&flags.flags),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText
                | AssertionKind::WordBoundary
                | AssertionKind::NotWordBoundary => Ok(()),
                AssertionKind::WordBoundaryStart
                | AssertionKind::WordBoundaryEnd
                | AssertionKind::WordBoundaryStartAngle
                | AssertionKind::WordBoundaryEndAngle
                | AssertionKind::WordBoundaryStartHalf
                | AssertionKind::WordBoundaryEndHalf => Err("RE2 knows only the word boundaries \\b and \\B".into()),
            },
            Ast::Repetition(repetition) => check_repetition(&repetition.op.kind),
            Ast::Literal(literal) => check_literal(literal),
            Ast::Empty(_)
            | Ast::Dot(_)
            | Ast::ClassUnicode(_)
            | Ast::ClassPerl(_)
            | Ast::ClassBracketed(_)
            | Ast::Alternation(_)
            | Ast::Concat(_) => Ok(()),
        }
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Bracketed(_) => Err("RE2 has no classes within classes: escape the inner [ as \\[".into()),
            ClassSetItem::Literal(literal) => check_literal(literal),
            ClassSetItem::Empty(_)
            | ClassSetItem::Range(_)
            | ClassSetItem::Ascii(_)
            | ClassSetItem::Unicode(_)
            | ClassSetItem::Perl(_)
            | ClassSetItem::Union(_) => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), String> {
        Err("RE2 has no operations on classes: escape && , -- and ~~ within [ ]".into())
    }
}

fn check_flags(flags: &ast::Flags) -> Result<(), String> {
    for item in &flags.items {
        match item.kind {
            FlagsItemKind::Negation
            | FlagsItemKind::Flag(
                Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed,
            ) => {}
            FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) => {
                return Err("RE2 knows only the flags i, m, s and U".into());
            }
        }
    }
    Ok(())
}

fn check_repetition(kind: &RepetitionKind) -> Result<(), String> {
    let most = match kind {
        RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => 0,
        RepetitionKind::Range(RepetitionRange::Exactly(n) | RepetitionRange::AtLeast(n)) => *n,
        RepetitionKind::Range(RepetitionRange::Bounded(_, most)) => *most,
    };
    if most > REPETITIONS_MAX {
        return Err(format!("RE2 counts at most {REPETITIONS_MAX} repetitions"));
    }
    Ok(())
}

fn check_literal(literal: &ast::Literal) -> Result<(), String> {
    match literal.kind {
        ast::LiteralKind::HexFixed(ast::HexLiteralKind::UnicodeShort | ast::HexLiteralKind::UnicodeLong)
        | ast::LiteralKind::HexBrace(ast::HexLiteralKind::UnicodeShort | ast::HexLiteralKind::UnicodeLong) => {
            Err("RE2 has no \\u: write \\x{...}".into())
        }
        ast::LiteralKind::Verbatim
        | ast::LiteralKind::Meta
        | ast::LiteralKind::Superfluous
        | ast::LiteralKind::Octal
        | ast::LiteralKind::HexFixed(ast::HexLiteralKind::X)
        | ast::LiteralKind::HexBrace(ast::HexLiteralKind::X)
        | ast::LiteralKind::Special(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn patterns_that_users_write_pass() {
        for (good, groups) in [
            (".*(iPhone|iPad).*", 1),
            ("^/v[0-9]+/.*$", 0),
            ("(?i)abc", 0),
            ("[[:alpha:]_-]+", 0),
            (r"\d{3}-\p{L}(?P<x>a)(?:b)", 1),
            ("", 0),
            (r"^(.*?;)?(user=jason)(;.*)?$", 3),
        ] {
            assert_eq!(check(good), Ok(groups), "{good:?}");
        }
    }

    #[test]
    fn patterns_that_envoy_refuses_do_not() {
        for bad in [
            "(",
            "a**b)",
            "(?=a)",
            "(?!a)",
            r"(a)\1",
            "(?<=a)b",
            "[a&&b]",
            "[[a]b]",
            "(?x) a",
            r"\u0041",
            "a{1001}",
            r"\b{start}a",
            "*a",
            "(a{1000}){1000}",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check(&"a".repeat(PATTERN_LEN_MAX + 1)).is_err());
    }

    #[test]
    fn the_worst_pattern_is_refused_or_taken_quickly() {
        let start = Instant::now();
        for worst in [
            "(a*)*b".to_owned(),
            "(".repeat(500),
            "(a|a)*".repeat(100),
            r"\w{1000}".into(),
            "((a{100}){100}){100}".into(),
        ] {
            let _ = check(&worst);
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }
}
