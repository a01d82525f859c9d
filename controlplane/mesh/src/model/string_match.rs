//! How a string is compared: exactly, by prefix or by a regular expression.

/// Longest string that a user may give to be matched, in bytes.
pub const PATTERN_LEN_MAX: usize = 1024;

/// A comparison that the author of an object wrote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StringMatch {
    /// Equal.
    Exact(String),
    /// Begins with.
    Prefix(String),
    /// Matches as a whole; RE2 syntax, checked when parsed.
    Regex(String),
}

/// How a header or query parameter is compared; presence is a comparison too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueMatch {
    /// It is there, whatever its value.
    Present,
    /// Its value compares so.
    Value(StringMatch),
}
