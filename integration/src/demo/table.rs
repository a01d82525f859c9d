//! The table of who calls whom, as text.

use crate::demo::{
    ledger::{Calls, Edge, Ledger},
    visitors::Pages,
};

const HEADINGS: [&str; 7] = ["CALLER", "SERVICE", "REQUESTS", "BY VERSION", "ERRORS", "P50", "P99"];
/// Which columns hold numbers, and so stand at the right.
const RIGHT: [bool; 7] = [false, false, true, false, true, true, true];
/// Printed in red where there are some lately.
const ERRORS_COLUMN: usize = 4;

/// Whether a table may have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// On a terminal.
    Colours,
    /// Everywhere else.
    None,
}

type Cells = [String; 7];

/// The table: totals of requests and errors, and, of the last seconds, versions and times.
#[must_use]
pub fn render(ledger: &Ledger, paint: Paint) -> String {
    let mut edges: Vec<_> = ledger.total().collect();
    edges.sort_by_key(|(edge, _)| depth(edge));
    let row = |(edge, total)| {
        let lately = ledger.lately(edge);
        let style = if lately.failed > 0 { Style::Failing } else { Style::Working };
        (cells(edge, total, &lately), style)
    };
    let heading = (HEADINGS.map(str::to_owned), Style::Heading);
    let rows: Vec<(Cells, Style)> = std::iter::once(heading).chain(edges.into_iter().map(row)).collect();
    let widths = widths(&rows);
    rows.iter().map(|(cells, style)| line(cells, &widths, *style, paint)).collect()
}

/// What visitors saw, in one line.
#[must_use]
pub fn pages(pages: Pages) -> String {
    let Pages { whole, with_gaps, failed } = pages;
    format!("pages: {} seen, {with_gaps} with gaps, {failed} failed", whole + with_gaps + failed)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Heading,
    Working,
    Failing,
}

/// Callers stand in the order in which a request passes them.
fn depth(edge: &Edge) -> u8 {
    match edge.caller.as_str() {
        "visitors" => 0,
        caller if caller.starts_with("productpage") => 1,
        _ => 2,
    }
}

fn cells(edge: &Edge, total: &Calls, lately: &Calls) -> Cells {
    let time = |percent| lately.percentile_us(percent).map_or_else(|| "-".to_owned(), milliseconds);
    [
        edge.caller.clone(),
        edge.service.clone(),
        total.answered.to_string(),
        shares(lately),
        total.failed.to_string(),
        time(50),
        time(99),
    ]
}

fn shares(calls: &Calls) -> String {
    let all: u64 = calls.versions.values().sum();
    let used = calls.versions.iter().filter(|&(_, &count)| count > 0);
    let parts: Vec<_> = used.map(|(version, count)| format!("{version} {} %", (count * 100 + all / 2) / all)).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

/// Envoy counts whole milliseconds.
fn milliseconds(us: u64) -> String {
    if us < 1_000 { "<1 ms".to_owned() } else { format!("{} ms", (us + 500) / 1_000) }
}

fn widths(rows: &[(Cells, Style)]) -> [usize; 7] {
    let mut widths = [0; 7];
    for (cells, _) in rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn line(cells: &Cells, widths: &[usize; 7], style: Style, paint: Paint) -> String {
    let columns = cells.iter().zip(widths).zip(RIGHT).enumerate();
    let padded = columns.map(|(column, ((cell, &width), right))| {
        let padded = if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
        let (before, after) = match (paint, style) {
            (Paint::Colours, Style::Heading) => ("\x1b[1m", "\x1b[0m"),
            (Paint::Colours, Style::Failing) if column == ERRORS_COLUMN => ("\x1b[31m", "\x1b[0m"),
            (Paint::Colours, Style::Failing | Style::Working) | (Paint::None, _) => ("", ""),
        };
        format!("{before}{padded}{after}")
    });
    let text = padded.collect::<Vec<_>>().join("  ");
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::observe::{Called, Count, Key, Reading, Span};

    fn ledger() -> Ledger {
        let key = |pod, called: &Called, count| Key { pod, called: called.clone(), subset: String::new(), count };
        let reviews = Called::Service("reviews.default.svc.cluster.local".to_owned());
        let ratings = Called::Service("ratings.default.svc.cluster.local".to_owned());
        let host = |number: u8| Count::Sent(std::net::SocketAddr::from(([127, 0, 1, number], 8000)));
        let took = Count::Took(Span { from_us: 3_000, width_us: 100 });
        let mut ledger = Ledger::over(10);
        ledger.add(Reading::from([
            (key("productpage-v1", &Called::Application, Count::Answered), 100),
            (key("productpage-v1", &reviews, Count::Answered), 100),
            (key("productpage-v1", &reviews, host(12)), 90),
            (key("productpage-v1", &reviews, host(13)), 10),
            (key("productpage-v1", &reviews, took), 100),
            (key("reviews-v2", &ratings, Count::Answered), 10),
            (key("reviews-v2", &ratings, Count::Failed), 4),
        ]));
        ledger
    }

    #[test]
    fn the_table_says_who_calls_whom_in_the_order_of_a_request() {
        let expected = "\
CALLER          SERVICE      REQUESTS  BY VERSION        ERRORS   P50   P99
visitors        productpage       100  -                      0     -     -
productpage-v1  reviews           100  v1 90 %, v2 10 %       0  3 ms  3 ms
reviews-v2      ratings            10  -                      4     -     -
";
        assert_eq!(render(&ledger(), Paint::None), expected);
    }

    #[test]
    fn errors_are_red_on_a_terminal_while_they_happen() {
        let mut ledger = ledger();
        let text = render(&ledger, Paint::Colours);
        assert!(text.contains("\x1b[31m     4\x1b[0m") && !text.contains("\x1b[31m     0"), "{text}");
        (0..10).for_each(|_| ledger.add(Reading::new()));
        let text = render(&ledger, Paint::Colours);
        assert!(text.contains("     4") && !text.contains("\x1b[31m"), "{text}");
    }
}
