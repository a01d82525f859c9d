//! Proxies as a table in plain text.

use std::fmt::Write as _;

use mesh::model::problem::steers_terminal;

use super::{Sync, SyncStatus};

/// The columns that Istio users know, then what is refused and by which YAML it was made.
#[must_use]
pub fn table(list: &[SyncStatus]) -> String {
    let header = ["NAME", "STATE", "CDS", "EDS", "LDS", "RDS", "PROTOCOL", "VERSION"].map(str::to_owned);
    let rows = list.iter().map(|proxy| {
        let of = |kind: &str| {
            let found = proxy.mainsheet.types.iter().find(|of| of.r#type == kind);
            found.map_or_else(|| "-".to_owned(), |of| word(of.state).to_owned())
        };
        [
            proxy.proxy.clone(),
            word(proxy.mainsheet.state).to_owned(),
            of("cds"),
            of("eds"),
            of("lds"),
            of("rds"),
            proxy.mainsheet.protocol.clone(),
            proxy.proxy_version.clone(),
        ]
    });
    let mut text = align(&std::iter::once(header).chain(rows).collect::<Vec<_>>());
    for proxy in list {
        for of in &proxy.mainsheet.types {
            let Some(refusal) = &of.refusal else { continue };
            let names: Vec<String> = refusal.resources.iter().map(|refused| plain(&refused.name)).collect();
            let _ = writeln!(text, "\n{} refuses {} {}", plain(&proxy.proxy), of.r#type, names.join(", "));
            let _ = writeln!(text, "  it says: {}", plain(&refusal.message));
            for line in refusal.resources.iter().flat_map(|refused| &refused.made_by) {
                let _ = writeln!(text, "  made by: {}", plain(line));
            }
        }
    }
    text
}

fn word(state: Sync) -> &'static str {
    match state {
        Sync::Synced => "SYNCED",
        Sync::Stale => "STALE",
        Sync::Nacked => "NACKED",
    }
}

/// Without what a terminal would obey: names come from proxies.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !steers_terminal(*c)).collect()
}

/// Widest column, in characters; a longer cell pushes its own row only.
const COLUMN_WIDTH_MAX: usize = 160;

/// Columns of equal width, three blanks apart, without what a terminal would obey.
#[must_use]
pub fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count()).min(COLUMN_WIDTH_MAX);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}   ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Detail, Refusal, Refused, TypeDetail};

    #[test]
    fn a_cell_of_any_length_is_a_row() {
        let long = "x".repeat(100_000);
        let table = align(&[["A".into(), "B".into()], [long.clone(), "y".into()]]);
        assert_eq!(table.lines().nth(1), Some(format!("{long}   y").as_str()));
    }

    #[test]
    fn a_table_shows_state_and_refusals() {
        let refusal = Refusal {
            message: "bad port".into(),
            resources: vec![Refused {
                name: "0.0.0.0_80".into(),
                made_by: vec!["Service shop/web [a.yaml:1:1]".into()],
            }],
            ..Refusal::default()
        };
        let types = vec![
            TypeDetail { r#type: "cds".into(), ..TypeDetail::default() },
            TypeDetail { r#type: "lds".into(), state: Sync::Nacked, refusal: Some(refusal), ..TypeDetail::default() },
        ];
        let detail = Detail { state: Sync::Nacked, protocol: "delta".into(), types, ..Detail::default() };
        let proxy = SyncStatus {
            proxy: "web\u{1b}[2J\u{202e}.shop".into(),
            proxy_version: "0.1.0".into(),
            mainsheet: detail,
            ..SyncStatus::default()
        };
        let expected = "\
NAME           STATE    CDS      EDS   LDS      RDS   PROTOCOL   VERSION
web[2J.shop    NACKED   SYNCED   -     NACKED   -     delta      0.1.0

web[2J.shop refuses lds 0.0.0.0_80
  it says: bad port
  made by: Service shop/web [a.yaml:1:1]
";
        let expected = expected
            .replace("web[2J.shop    NACKED", "web[2J.shop   NACKED")
            .replace("NAME           ", "NAME          ");
        assert_eq!(table(&[proxy]), expected);
    }
}
