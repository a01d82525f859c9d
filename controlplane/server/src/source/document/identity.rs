//! Who an object is: its kind, its name and its namespace.

use mesh::model::{Kind, Namespace, ObjectId, code};

use crate::source::{
    Settings,
    finding::{Finding, Findings},
    kind::{self, Treatment},
    path::Path,
    yaml::{Node, Value},
};

/// The name of the ConfigMap that holds the mesh's own configuration.
pub const MESH_CONFIG: &str = "istio";
/// Longest name of an object, in bytes, as Kubernetes has it.
const NAME_LEN_MAX: usize = 253;

/// What a document says of itself, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) api_version: String,
    pub(super) kind: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Identity {
    /// Reads the identity of a document.
    ///
    /// # Errors
    /// When it is no object of Kubernetes at all.
    pub(super) fn read(root: &Node) -> Result<Self, Finding> {
        let path = Path::root();
        let wrong = |path: Path<'_>, reason: &str, remedy: &str| Finding {
            code: code::NOT_AN_OBJECT,
            path: path.to_owned(),
            position: None,
            reason: reason.into(),
            remedy: remedy.into(),
        };
        if !matches!(root.value, Value::Map(_)) {
            return Err(wrong(path, "the document is not an object", "write apiVersion, kind, metadata and spec"));
        }
        let text = |node: Option<&Node>| node.and_then(Node::text).filter(|text| !text.is_empty()).map(str::to_owned);
        let required = |field: &str, example: &str| {
            text(root.field(field)).ok_or_else(|| wrong(path.field(field), "the field is missing", example))
        };
        let metadata = root.field("metadata");
        Ok(Self {
            api_version: required("apiVersion", "add it, for example apiVersion: networking.istio.io/v1")?,
            kind: required("kind", "add it, for example kind: VirtualService")?,
            namespace: text(metadata.and_then(|metadata| metadata.field("namespace"))),
            name: text(metadata.and_then(|metadata| metadata.field("name"))),
        })
    }

    /// Whether it is the ConfigMap of the mesh's own configuration.
    pub(super) fn is_mesh_config(&self, settings: &Settings) -> bool {
        let namespace = self.namespace.as_deref().unwrap_or(settings.default_namespace.as_str());
        self.name.as_deref() == Some(MESH_CONFIG) && namespace == settings.system_namespace.as_str()
    }

    /// Whether it would be that ConfigMap, were it in the right namespace.
    pub(super) fn is_misplaced_mesh_config(&self, settings: &Settings) -> bool {
        self.name.as_deref() == Some(MESH_CONFIG) && !self.is_mesh_config(settings)
    }

    /// Kind, namespace and name, as problems name the object.
    pub(super) fn title(&self, settings: &Settings) -> String {
        let name = self.name.as_deref().unwrap_or("(no name)");
        match (self.compiled_kind(), self.namespace.as_deref()) {
            (Some(kind), _) if !kind::is_namespaced(kind) => format!("{} {name}", self.kind),
            (_, Some(namespace)) => format!("{} {namespace}/{name}", self.kind),
            (Some(_), None) => format!("{} {}/{name}", self.kind, settings.default_namespace),
            (None, None) => format!("{} {name}", self.kind),
        }
    }

    fn compiled_kind(&self) -> Option<Kind> {
        match kind::treatment(&self.api_version, &self.kind) {
            Treatment::Compiled(kind) => Some(kind),
            Treatment::ConfigMap => Some(Kind::MeshConfig),
            Treatment::List | Treatment::Accepted(..) | Treatment::Checked(..) | Treatment::Unknown => None,
        }
    }

    /// The identity in the model; `None` for kinds that are not compiled, and for names that are not valid.
    pub(super) fn object_id(&self, settings: &Settings) -> Option<ObjectId> {
        let kind = self.compiled_kind()?;
        if kind == Kind::MeshConfig && !self.is_mesh_config(settings) {
            return None;
        }
        let name = self.name.as_deref().filter(|name| is_name(name))?;
        let namespace = match &self.namespace {
            _ if !kind::is_namespaced(kind) => Namespace::none(),
            None => settings.default_namespace.clone(),
            Some(text) => Namespace::parse(text).ok()?,
        };
        Some(ObjectId::new(kind, namespace, name))
    }

    /// Says why there is no identity.
    pub(super) fn explain(&self, findings: &mut Findings) {
        let root = Path::root();
        let metadata = root.field("metadata");
        match self.name.as_deref() {
            None => findings.add(code::BAD_METADATA, metadata.field("name"), "the field is missing", "name the object"),
            Some(name) if !is_name(name) => findings.add(
                code::BAD_METADATA,
                metadata.field("name"),
                format!("{name:?} is not the name of an object"),
                "use lower-case letters, digits, `-` and `.`",
            ),
            Some(_) => {}
        }
        if let Some(Err(error)) = self.namespace.as_deref().map(Namespace::parse) {
            findings.add(code::BAD_METADATA, metadata.field("namespace"), format!("the namespace {error}"), "");
        }
    }
}

/// Lower-case letters, digits, `-` and `.`, as Kubernetes has it.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_LEN_MAX
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.'])
}
