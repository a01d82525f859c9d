//! Where one document of a text ends and the next begins.

/// The text of one document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    /// How many lines of the file stand before it.
    pub(super) lines_before: usize,
    /// Its text, with its opening marker `---` and without an end marker `...`.
    pub(super) text: &'a str,
}

/// Cuts a text at its document markers. In YAML a line that begins with `---` or `...` is a marker wherever it stands,
/// even inside quotes or blocks, so that this needs no parser and works for broken documents too.
pub(super) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut lines_before: usize = 0;
    let mut offset: usize = 0;
    for (line_number, line) in text.split_inclusive('\n').enumerate() {
        let cut = if is_marker(line, "---") {
            Some((offset, line_number))
        } else if is_marker(line, "...") {
            Some((offset.saturating_add(line.len()), line_number.saturating_add(1)))
        } else {
            None
        };
        if let Some((next, lines)) = cut {
            let end = offset;
            push(&mut chunks, text.get(start..end), lines_before);
            start = next;
            lines_before = lines;
        }
        offset = offset.saturating_add(line.len());
    }
    push(&mut chunks, text.get(start..), lines_before);
    chunks
}

fn push<'a>(chunks: &mut Vec<Chunk<'a>>, text: Option<&'a str>, lines_before: usize) {
    if let Some(text) = text
        && has_content(text)
    {
        chunks.push(Chunk { lines_before, text });
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether there is more than blank lines, comments, directives and the opening marker.
fn has_content(text: &str) -> bool {
    text.lines().any(|line| {
        let line = if is_marker(line, "---") { line.get(3..).unwrap_or_default() } else { line };
        let line = line.trim_start();
        !(line.is_empty() || line.starts_with('#') || line.starts_with('%'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_at_markers_and_keep_their_line() {
        let found = chunks("# head\n---\na: 1\n--- # next\nb: 2\n...\n---\n# nothing\n---\n{c: 3}");
        let shown: Vec<_> = found.iter().map(|c| (c.lines_before, c.text)).collect();
        assert_eq!(shown, [(1, "---\na: 1\n"), (3, "--- # next\nb: 2\n"), (8, "---\n{c: 3}")]);
    }

    #[test]
    fn dashes_that_only_look_like_a_marker_are_none() {
        assert_eq!(chunks("a: 1\n---b\n ---\n----\n").len(), 1);
    }
}
