//! The paths that a source names, with `use` trees spread out and `super` resolved.

use crate::tokens::{Kind, Token, tokens};

/// A path and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    /// Its segments; a path into the own crate begins with `crate`.
    pub(crate) segments: Vec<String>,
}

impl Named {
    /// As it would be written.
    pub(crate) fn text(&self) -> String {
        self.segments.join("::")
    }

    /// Whether it is `path` or leads into it.
    pub(crate) fn is_within(&self, path: &str) -> bool {
        let mut segments = self.segments.iter();
        path.split("::").all(|wanted| segments.next().is_some_and(|segment| segment == wanted))
    }
}

/// Every path that a source names. `module` is the module that the file is, from the root of its crate.
pub(crate) fn named(source: &str, module: &[&str]) -> Vec<Named> {
    let tokens = tokens(source);
    let mut reader = Reader { tokens: &tokens, at: 0, inline: Vec::new(), depth: 0, found: Vec::new() };
    while let Some(token) = reader.next() {
        reader.item(token, module);
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    /// The modules written out in the file that enclose this place, and the brace depth that each lies at.
    inline: Vec<(&'a str, usize)>,
    depth: usize,
    found: Vec<Named>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    fn peek(&self, ahead: usize) -> Option<Kind<'a>> {
        self.tokens.get(self.at + ahead).map(|token| token.kind)
    }

    fn item(&mut self, token: Token<'a>, module: &[&str]) {
        match token.kind {
            Kind::Sign('{') => self.depth += 1,
            Kind::Sign('}') => {
                self.depth = self.depth.saturating_sub(1);
                if self.inline.last().is_some_and(|(_, depth)| *depth == self.depth) {
                    self.inline.pop();
                }
            }
            Kind::Word("mod") => {
                if let (Some(Kind::Word(name)), Some(Kind::Sign('{'))) = (self.peek(0), self.peek(1)) {
                    self.inline.push((name, self.depth));
                }
            }
            // `use<..>` in a return type is not an import.
            Kind::Word("use") if self.peek(0) != Some(Kind::Sign('<')) => self.tree(&[], module),
            Kind::Word(first) => {
                let mut segments = vec![first];
                while let (Some(Kind::PathSeparator), Some(Kind::Word(word))) = (self.peek(0), self.peek(1)) {
                    segments.push(word);
                    self.at += 2;
                }
                if segments.len() > 1 {
                    self.put(token.line, &segments, module);
                }
            }
            Kind::PathSeparator | Kind::Sign(_) => {}
        }
    }

    /// One branch of a `use` tree, up to and without the `,`, `}` or `;` that ends it.
    fn tree(&mut self, prefix: &[&'a str], module: &[&str]) {
        let mut segments = prefix.to_vec();
        let mut line = None;
        while let Some(kind) = self.peek(0) {
            match kind {
                Kind::Sign(',' | '}' | ';') => break,
                Kind::Sign('{') => {
                    self.at += 1;
                    self.group(&segments, module);
                    return;
                }
                Kind::Word("as") => self.at += 1,
                Kind::Word("self") if !segments.is_empty() => line = line.or(self.line()),
                Kind::Word(word) => {
                    segments.push(word);
                    line = self.line();
                }
                Kind::PathSeparator | Kind::Sign(_) => line = line.or(self.line()),
            }
            self.at += 1;
        }
        if let Some(line) = line {
            self.put(line, &segments, module);
        }
    }

    fn group(&mut self, prefix: &[&'a str], module: &[&str]) {
        while let Some(kind) = self.peek(0) {
            match kind {
                Kind::Sign('}') => {
                    self.at += 1;
                    return;
                }
                Kind::Sign(',') => self.at += 1,
                Kind::Sign(';') => return,
                Kind::Word(_) | Kind::PathSeparator | Kind::Sign(_) => {
                    let before = self.at;
                    self.tree(prefix, module);
                    // A sign that begins no tree must not hold us up.
                    self.at = self.at.max(before + 1);
                }
            }
        }
    }

    fn line(&self) -> Option<usize> {
        self.tokens.get(self.at).map(|token| token.line)
    }

    fn put(&mut self, line: usize, segments: &[&str], module: &[&str]) {
        let inline = self.inline.iter().map(|(name, _)| *name);
        let mut here: Vec<&str> = module.iter().copied().chain(inline).collect();
        let mut rest = segments;
        let relative = matches!(rest.first(), Some(&("self" | "super")));
        while let Some((first @ (&"self" | &"super"), after)) = rest.split_first() {
            if *first == "super" {
                here.pop();
            }
            rest = after;
        }
        let head: Vec<&str> = if relative { std::iter::once("crate").chain(here).collect() } else { Vec::new() };
        let segments = head.iter().chain(rest).map(|segment| (*segment).to_owned()).collect();
        self.found.push(Named { line, segments });
    }
}

#[cfg(test)]
mod tests {
    use super::{Named, named};

    fn texts(source: &str) -> Vec<String> {
        named(source, &["compile", "route"]).iter().map(Named::text).collect()
    }

    #[test]
    fn use_trees_are_spread_out() {
        assert_eq!(
            texts("use crate::{model::{self, Origin as O}, store::*};\nuse std::fs;"),
            ["crate::model", "crate::model::Origin", "crate::store", "std::fs"]
        );
        assert_eq!(named("use a::{\n b,\n c,\n};", &[]).iter().map(|path| path.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn paths_in_code_are_found() {
        assert_eq!(texts("fn f() -> crate::store::Mesh { std::fs::read(x) }"), ["crate::store::Mesh", "std::fs::read"]);
        assert_eq!(texts("fn f() -> impl Iterator + use<'a> { a::b() }"), ["a::b"]);
        assert!(texts("// crate::store\nlet text = \"crate::store::Mesh\";").is_empty());
    }

    #[test]
    fn super_leads_to_where_it_stands() {
        assert_eq!(texts("use super::super::store::Mesh;"), ["crate::store::Mesh"]);
        assert_eq!(
            texts("mod tests { use super::retry; } use super::x;"),
            ["crate::compile::route::retry", "crate::compile::x"]
        );
        assert_eq!(texts("mod tests { fn f() { super::super::y() } }"), ["crate::compile::y"]);
    }

    #[test]
    fn within_compares_whole_segments() {
        let path = |text: &str| Named { line: 1, segments: text.split("::").map(str::to_owned).collect() };
        assert!(path("std::fs::read").is_within("std::fs"));
        assert!(!path("std::fsx").is_within("std::fs"));
        assert!(!path("std").is_within("std::fs"));
    }
}
