//! From the wire to the model: one file per kind, one function per thing.
//!
//! Every function takes its wire value apart field by field, so that a new field cannot be forgotten: it is either
//! converted, or said to be not in force. What is wrong is added to the findings and a stand-in value is returned; an
//! object with errors among its findings is thrown away as a whole at the end.

pub mod destination_rule;
pub mod endpoint_slice;
mod headers;
mod http_action;
mod http_match;
mod http_rule;
mod l4;
mod load_balancer;
pub mod mesh_config;
mod pattern;
pub mod peer_authentication;
pub mod platform;
pub mod pod;
mod resilience;
pub mod service;
pub mod service_entry;
pub mod sidecar;
mod tls;
mod traffic_policy;
mod values;
pub mod virtual_service;
pub mod workload_entry;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mesh::model::{Labels, Namespace, ObjectId, code};

use super::{Settings, finding::Findings, path::Path};

/// What every object says of itself.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Its namespace; [`Namespace::none`] for kinds that belong to the whole cluster.
    pub namespace: Namespace,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// The objects that made it, by kind and name; the controlling one first.
    pub owners: Vec<(String, String)>,
    /// When it was created, in seconds since 1970.
    pub created: Option<i64>,
    /// Which edit of it this is.
    pub generation: Option<i64>,
}

impl Metadata {
    /// What the object `id` says of itself in `meta`.
    #[must_use]
    pub fn of(id: &ObjectId, meta: ObjectMeta) -> Self {
        let mut owners = meta.owner_references.unwrap_or_default();
        owners.sort_by_key(|owner| owner.controller != Some(true));
        Self {
            name: id.name.to_string(),
            namespace: id.namespace.clone(),
            labels: meta.labels.unwrap_or_default(),
            annotations: meta.annotations.unwrap_or_default(),
            owners: owners.into_iter().map(|owner| (owner.kind, owner.name)).collect(),
            created: meta.creation_timestamp.map(|time| time.0.as_second()),
            generation: meta.generation,
        }
    }
}

/// The conversion of one object: what it may look at, and where it says what is wrong.
#[derive(Debug)]
pub struct Conversion<'a> {
    /// What no object says, but all depend on.
    pub settings: &'a Settings,
    /// What the object says of itself.
    pub metadata: &'a Metadata,
    /// What is wrong with it.
    pub findings: &'a mut Findings,
}

impl Conversion<'_> {
    fn error(&mut self, code: code::Code, path: Path<'_>, reason: impl Into<String>, remedy: impl Into<String>) {
        self.findings.add(code, path, reason, remedy);
    }

    /// Says that the field at `path` is known, but not acted on; `instead` is what happens now.
    fn not_in_force(&mut self, path: Path<'_>, instead: &str) {
        self.findings.add(code::FIELD_NOT_IN_FORCE, path, format!("not in force yet: {instead}"), "");
    }

    /// Says so of a field that is given.
    fn ignore<T>(&mut self, value: Option<&T>, path: Path<'_>, instead: &str) {
        if value.is_some() {
            self.not_in_force(path, instead);
        }
    }

    /// Says that a list is longer than it may be.
    fn limit(&mut self, len: usize, max: usize, path: Path<'_>) {
        if len > max {
            self.findings.add(
                code::LIMIT,
                path,
                format!("has {len} items, at most {max} are allowed"),
                "split the object",
            );
        }
    }
}
