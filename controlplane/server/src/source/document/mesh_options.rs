//! The mesh's own configuration: YAML inside a text of ConfigMap `istio`.

use mesh::model::{code, mesh_config::MeshConfig};

use crate::source::{
    convert::Conversion,
    finding::{Finding, Findings},
    path::Path,
    schema::{self, Schema, Unknown},
    wire,
    yaml::{self, Node, Position, Value},
};

/// The key that holds the configuration.
const KEY: &str = "mesh";

/// Reads the configuration from the ConfigMap's text. `None` when it cannot be read.
pub(super) fn read(root: &Node, conversion: &mut Conversion<'_>) -> Option<MeshConfig> {
    static SCHEMA: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(Schema::of::<wire::mesh_config::MeshConfig>);
    let root_path = Path::root();
    let data_path = root_path.field("data");
    let data = root.field("data");
    for entry in data.map(Node::entries).unwrap_or_default().iter().filter(|entry| entry.key != KEY) {
        let reason = "not in force yet: only the key mesh is read";
        conversion.findings.add(code::FIELD_NOT_IN_FORCE, data_path.field(&entry.key), reason, "");
    }
    let path = data_path.field(KEY);
    let Some(entry) = data.and_then(|data| data.entry(KEY)) else {
        return Some(conversion.mesh_config(wire::mesh_config::MeshConfig::default(), path));
    };
    let mut inner = Findings::default();
    let config = parse(&entry.value, path, &SCHEMA, conversion, &mut inner);
    // Findings of the inner text know their place in it, which no path through the outer text leads to.
    conversion.findings.extend(inner.into_list());
    config
}

fn parse(
    text_node: &Node,
    path: Path<'_>,
    schema: &Schema,
    conversion: &mut Conversion<'_>,
    findings: &mut Findings,
) -> Option<MeshConfig> {
    let text = text_node.text().unwrap_or_default();
    let Some(document) = yaml::parse(text).into_iter().next() else {
        return Some(conversion.mesh_config(wire::mesh_config::MeshConfig::default(), path));
    };
    let place = |position: Position| outer_position(position, text_node);
    if let Some(error) = document.error {
        findings.push(Finding {
            code: code::SYNTAX,
            path: path.to_owned(),
            position: Some(place(error.position)),
            reason: error.reason,
            remedy: error.remedy.into(),
        });
        return None;
    }
    let tree = document.root?;
    if !matches!(tree.value, Value::Map(_)) {
        findings.add(code::WRONG_TYPE, path, "expected a mapping", "write options as `name: value`");
        return None;
    }
    let mut inner = Findings::default();
    schema::check(schema, &tree, Path::root(), Unknown::Warn, &mut inner);
    let config = if inner.has_errors() {
        None
    } else {
        match serde_json::from_value::<wire::mesh_config::MeshConfig>(tree.to_json()) {
            Ok(config) => {
                let mut conversion = Conversion { findings: &mut inner, ..*conversion };
                Some(conversion.mesh_config(config, Path::root()))
            }
            Err(error) => {
                inner.add(code::WRONG_TYPE, Path::root(), error.to_string(), "");
                None
            }
        }
    };
    findings.extend(inner.into_list().into_iter().map(|finding| {
        let position = place(finding.path.locate(&tree));
        let mut full = path.to_owned();
        full.0.extend(finding.path.0.iter().cloned());
        Finding { path: full, position: Some(position), ..finding }
    }));
    config
}

/// Where a place of the inner text stands in the file: exact for blocks written with `|`, whose position is that of their
/// first character; for text in quotes only as good as its line.
fn outer_position(inner: Position, text_node: &Node) -> Position {
    let Position { line, column } = text_node.position;
    Position {
        line: line.saturating_add(inner.line).saturating_sub(1),
        column: column.saturating_add(inner.column).saturating_sub(1),
    }
}
