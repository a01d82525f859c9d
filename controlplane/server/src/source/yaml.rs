//! YAML (and so JSON) as a tree that knows where everything was written.
//!
//! Documents of one text are read apart from each other, so that an error in one leaves the others as they are.

mod json;
mod scalar;
mod split;

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

pub(super) use self::json::json_error;
use self::split::Chunk;

/// Deepest nesting.
pub const DEPTH_MAX: usize = 100;
/// Most values in one document, aliases counted as often as they are used.
pub const NODES_MAX: usize = 1_000_000;
/// Most values that anchors and aliases of one document may copy.
pub const COPIED_NODES_MAX: usize = 100_000;
/// Most bytes of text that anchors and aliases of one document may copy: more than any object that Kubernetes keeps.
pub const COPIED_BYTES_MAX: usize = 8 << 20;

/// Where something stands: line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A finite number.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order written; a key may stand in it twice.
    Map(Vec<Entry>),
}

/// One pair of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub position: Position,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value of `key`, when this is a mapping that has it.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The pair with `key`, when this is a mapping that has it.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The pairs of a mapping; none for everything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a list; none for everything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The text, when this is text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }
}

/// One document of a text.
#[derive(Debug)]
pub struct Document {
    /// Its content; after an error, what was read before it.
    pub root: Option<Node>,
    /// Why it could not be read to its end.
    pub error: Option<SyntaxError>,
}

/// Why a document could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where.
    pub position: Position,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub remedy: &'static str,
    /// Whether a limit was exceeded, rather than a rule of YAML broken.
    pub limit: bool,
}

/// Reads every document of `text`; those without content are left out.
#[must_use]
pub fn parse(text: &str) -> Vec<Document> {
    split::chunks(text.strip_prefix('\u{feff}').unwrap_or(text))
        .into_iter()
        .map(|chunk| parse_chunk(&chunk))
        .filter(|document| document.error.is_some() || document.root.as_ref().is_some_and(|root| !root.is_null()))
        .collect()
}

/// The first NUL of a text, which is in no YAML: the parser would take it for the end.
#[must_use]
pub fn nul(text: &str) -> Option<SyntaxError> {
    let before = text.get(..text.find('\0')?)?;
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    Some(SyntaxError {
        position: Position { line: count(before.matches('\n').count()), column: count(column) },
        reason: "the text holds a NUL character; a crash or a copy cut short leaves such files".into(),
        remedy: "write the file again",
        limit: false,
    })
}

fn parse_chunk(chunk: &Chunk<'_>) -> Document {
    let mut builder = Builder::new(chunk.lines_before);
    let mut parser = Parser::new_from_str(chunk.text);
    let mut error = None;
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((Event::StreamEnd, _)) => break,
            Ok((event, span)) => builder.take(event, span),
            Err(scan) => Err(SyntaxError {
                position: builder.position(scan.marker().line(), scan.marker().col()),
                reason: format!("the text is not YAML: {}", scan.info()),
                remedy: "look at the indentation, quotes and colons here and in the line before",
                limit: false,
            }),
        };
        if let Err(found) = step {
            error = Some(found);
            break;
        }
    }
    Document { root: builder.finish(), error }
}

/// A list or mapping that is still open.
#[derive(Debug)]
struct Open {
    position: Position,
    anchor: usize,
    nodes_before: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Position)> },
}

/// Makes a tree of events.
#[derive(Debug)]
struct Builder {
    lines_before: usize,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    copied_nodes: usize,
    copied_bytes: usize,
}

/// What an anchor names, and what a copy of it takes.
#[derive(Debug)]
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
}

impl Builder {
    fn new(lines_before: usize) -> Self {
        Self {
            lines_before,
            open: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            copied_nodes: 0,
            copied_bytes: 0,
        }
    }

    /// `line` counts from 1 and `column` from 0, as the parser has them.
    fn position(&self, line: usize, column: usize) -> Position {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Position {
            line: number(line.max(1).saturating_add(self.lines_before)),
            column: number(column.saturating_add(1)),
        }
    }

    fn start_of(&self, span: Span) -> Position {
        self.position(span.start.line(), span.start.col())
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let position = self.start_of(span);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text.into_owned(), style, anchor, tag.as_deref(), position)
            }
            Event::SequenceStart(anchor, _) => self.begin(position, anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.begin(position, anchor, Content::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(position),
            Event::Alias(anchor) => self.alias(anchor, position),
        }
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        position: Position,
    ) -> Result<(), SyntaxError> {
        if self.wants_key() {
            if anchor != 0 {
                self.keep(anchor, &Node { position, value: Value::Text(text.clone()) }, 1)?;
            }
            if let Some(Open { content: Content::Map { key, .. }, .. }) = self.open.last_mut() {
                *key = Some((text, position));
            }
            return Ok(());
        }
        let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
        let value = match style {
            ScalarStyle::Plain if !is_text => scalar::resolve(text),
            ScalarStyle::Plain
            | ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Value::Text(text),
        };
        self.count(1, position)?;
        self.add(Node { position, value }, anchor, 1)
    }

    fn begin(&mut self, position: Position, anchor: usize, content: Content) -> Result<(), SyntaxError> {
        if self.wants_key() {
            return Err(SyntaxError {
                position,
                reason: "a key must be text, not a list or a mapping".into(),
                remedy: "look at the indentation, and at `?`, `[` or `{` where a name should stand",
                limit: false,
            });
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(limit(position, format!("values are nested deeper than {DEPTH_MAX} levels")));
        }
        self.count(1, position)?;
        self.open.push(Open { position, anchor, nodes_before: self.nodes, content });
        Ok(())
    }

    fn end(&mut self, position: Position) -> Result<(), SyntaxError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let size = self.nodes.saturating_sub(open.nodes_before).saturating_add(1);
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, .. } => Value::Map(scalar::merge_keys(entries)),
        };
        self.count(0, position)?;
        self.add(Node { position: open.position, value }, open.anchor, size)
    }

    fn alias(&mut self, anchor: usize, position: Position) -> Result<(), SyntaxError> {
        let Some(Anchored { node, nodes, bytes }) = self.anchors.get(&anchor) else {
            return Err(SyntaxError {
                position,
                reason: "the alias stands inside the value that it stands for".into(),
                remedy: "write the value out",
                limit: false,
            });
        };
        // The depth of what an alias stands for adds to the depth of where it stands.
        let too_deep = self.open.len().saturating_add(depth(node)) > DEPTH_MAX;
        let not_text = node.text().is_none();
        let (nodes, bytes) = (*nodes, *bytes);
        let as_key = self.wants_key();
        if as_key && not_text {
            return Err(SyntaxError {
                position,
                reason: "a key must be text".into(),
                remedy: "write the key out",
                limit: false,
            });
        }
        if too_deep {
            return Err(limit(position, format!("values are nested deeper than {DEPTH_MAX} levels")));
        }
        // Counted before it is copied, so that a small file cannot ask for memory without end.
        self.count_copy(nodes, bytes, position)?;
        let Some(node) = self.anchors.get(&anchor).map(|anchored| anchored.node.clone()) else { return Ok(()) };
        if as_key {
            let text = node.text().unwrap_or_default().to_owned();
            return self.scalar(text, ScalarStyle::DoubleQuoted, 0, None, position);
        }
        self.count(nodes, position)?;
        self.add(node, 0, nodes)
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn count(&mut self, nodes: usize, position: Position) -> Result<(), SyntaxError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            return Err(limit(position, format!("the document has more than {NODES_MAX} values")));
        }
        Ok(())
    }

    /// Counts values and text that are about to be copied.
    fn count_copy(&mut self, nodes: usize, bytes: usize, position: Position) -> Result<(), SyntaxError> {
        self.copied_nodes = self.copied_nodes.saturating_add(nodes);
        self.copied_bytes = self.copied_bytes.saturating_add(bytes);
        if self.copied_nodes > COPIED_NODES_MAX {
            return Err(limit(position, format!("anchors and aliases copy more than {COPIED_NODES_MAX} values")));
        }
        if self.copied_bytes > COPIED_BYTES_MAX {
            return Err(limit(position, format!("anchors and aliases copy more than {COPIED_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    /// Keeps what an anchor names.
    fn keep(&mut self, anchor: usize, node: &Node, nodes: usize) -> Result<(), SyntaxError> {
        let bytes = text_len(node);
        self.count_copy(nodes, bytes, node.position)?;
        self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, bytes });
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), SyntaxError> {
        if anchor != 0 {
            self.keep(anchor, &node, size)?;
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key }) => {
                if let Some((key, position)) = key.take() {
                    entries.push(Entry { key, position, value: node });
                }
            }
            None => self.root = Some(node),
        }
        Ok(())
    }

    /// The tree; what is still open after an error is closed as it stands.
    fn finish(mut self) -> Option<Node> {
        while let Some(open) = self.open.last() {
            let position = open.position;
            if self.end(position).is_err() {
                break;
            }
        }
        self.root
    }
}

fn limit(position: Position, reason: String) -> SyntaxError {
    SyntaxError { position, reason, remedy: "split the document", limit: true }
}

/// Bytes of all keys and texts.
fn text_len(node: &Node) -> usize {
    match &node.value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.iter().map(text_len).sum(),
        Value::Map(entries) => entries.iter().map(|entry| entry.key.len() + text_len(&entry.value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn depth(node: &Node) -> usize {
    let inner = match &node.value {
        Value::List(items) => items.iter().map(depth).max(),
        Value::Map(entries) => entries.iter().map(|entry| depth(&entry.value)).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => return 0,
    };
    inner.unwrap_or(0).saturating_add(1)
}

#[cfg(test)]
mod tests;
