//! From which namespaces an object can be seen.

use super::name::Namespace;

/// `exportTo` of an object, resolved against its own namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportTo {
    /// Not said: the mesh's default for the kind holds.
    Default,
    /// Everywhere.
    All,
    /// Nowhere (`~`).
    None,
    /// In these namespaces; the object's own was written `.`.
    Namespaces(Vec<Namespace>),
}

impl ExportTo {
    /// Whether an object with this visibility can be seen from `namespace`; `default` is what [`ExportTo::Default`] means.
    #[must_use]
    pub fn visible_from(&self, namespace: &Namespace, own: &Namespace, default: DefaultExport) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Namespaces(names) => names.contains(namespace),
            Self::Default => match default {
                DefaultExport::All => true,
                DefaultExport::Own => namespace == own,
                DefaultExport::None => false,
            },
        }
    }
}

/// What the mesh configuration says for objects that say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultExport {
    /// `*`: everywhere.
    All,
    /// `.`: the object's own namespace.
    Own,
    /// `~`: nowhere.
    None,
}
