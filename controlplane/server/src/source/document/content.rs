//! What an object says: held against the schema of its kind, then converted.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::{core::v1 as core, discovery::v1 as discovery},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use mesh::model::{Config, Kind, Location, Object, ObjectId, code};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{Declared, mesh_options};
use crate::source::{
    Settings,
    convert::{Conversion, Metadata},
    finding::Findings,
    kind,
    path::Path,
    schema::{self, Schema, Unknown},
    yaml::{Node, Value},
};

/// Reads the object `id` from its text. `None` when there are errors in it, or when it declares nothing.
pub(super) fn read(
    root: &Node,
    id: &ObjectId,
    location: Option<&Location>,
    settings: &Settings,
    findings: &mut Findings,
) -> Option<Declared> {
    check_duplicates(root, Path::root(), findings);
    schema::check(kind::schema(id.kind), root, Path::root(), Unknown::Refuse, findings);
    if findings.has_errors() {
        return None;
    }
    let mut json = root.to_json();
    let metadata = read_metadata(&mut json, id, findings)?;
    let mut conversion = Conversion { settings, metadata: &metadata, findings };
    let object = Maker { id, metadata: &metadata, location };
    let declared = convert(root, json, &object, &mut conversion)?;
    if !findings.has_errors() {
        // What an API server would refuse is refused here too; conversion has said it better where it could.
        schema::check_values(kind::schema(id.kind), root, Path::root(), findings);
    }
    if findings.has_errors() { None } else { Some(declared) }
}

/// Holds an object that is not converted against the schema of its kind.
pub(super) fn check(schema: &Schema, root: &Node, findings: &mut Findings) {
    check_duplicates(root, Path::root(), findings);
    schema::check(schema, root, Path::root(), Unknown::Refuse, findings);
    if !findings.has_errors() {
        schema::check_values(schema, root, Path::root(), findings);
    }
}

/// A key that stands twice in one mapping, anywhere in the object.
fn check_duplicates(node: &Node, path: Path<'_>, findings: &mut Findings) {
    match &node.value {
        Value::Map(entries) => {
            let mut seen = BTreeSet::new();
            for entry in entries {
                let path = path.field(&entry.key);
                if !seen.insert(entry.key.as_str()) {
                    findings.push(crate::source::finding::Finding {
                        code: code::DUPLICATE_KEY,
                        path: path.to_owned(),
                        position: Some(entry.position),
                        reason: "the key is given twice".into(),
                        remedy: "keep one of them".into(),
                    });
                }
                check_duplicates(&entry.value, path, findings);
            }
        }
        Value::List(items) => {
            for (place, item) in items.iter().enumerate() {
                check_duplicates(item, path.index(place), findings);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

fn read_metadata(json: &mut Json, id: &ObjectId, findings: &mut Findings) -> Option<Metadata> {
    let root = Path::root();
    let meta: ObjectMeta = take(json, "metadata", root.field("metadata"), findings)?;
    Some(Metadata::of(id, meta))
}

/// Takes a field out of an object, as its type. What the schema lets through rarely fails here; times may.
fn take<T: DeserializeOwned>(json: &mut Json, field: &str, path: Path<'_>, findings: &mut Findings) -> Option<T> {
    let value = json.get_mut(field).map_or_else(|| Json::Object(serde_json::Map::new()), Json::take);
    match serde_json::from_value(value) {
        Ok(value) => Some(value),
        Err(error) => {
            findings.add(code::WRONG_TYPE, path, error.to_string(), "");
            None
        }
    }
}

/// Puts identity and content together.
struct Maker<'a> {
    id: &'a ObjectId,
    metadata: &'a Metadata,
    location: Option<&'a Location>,
}

impl Maker<'_> {
    fn object<T>(&self, spec: T) -> Object<T> {
        Object {
            id: self.id.clone(),
            created: self.metadata.created,
            generation: self.metadata.generation,
            location: self.location.cloned(),
            spec,
        }
    }
}

fn convert(root: &Node, mut json: Json, object: &Maker<'_>, conversion: &mut Conversion<'_>) -> Option<Declared> {
    let root_path = Path::root();
    let path = root_path.field("spec");
    let config = match object.id.kind {
        Kind::EndpointSlice => {
            // A slice has no `spec`; its metadata was taken out and is not looked at again.
            if let Some(map) = json.as_object_mut() {
                map.remove("metadata");
            }
            let slice: discovery::EndpointSlice = whole(json, conversion.findings)?;
            let slice = conversion.endpoint_slice(slice, root_path)?;
            return Some(Declared::Endpoints(Box::new(object.object(slice))));
        }
        Kind::MeshConfig => Config::MeshConfig(object.object(mesh_options::read(root, conversion)?)),
        Kind::Namespace => Config::Namespace(object.object(conversion.namespace_info())),
        Kind::Node => Config::Node(object.object(conversion.node())),
        Kind::ServiceAccount => Config::ServiceAccount(object.object(conversion.service_account())),
        Kind::Pod => {
            let spec: core::PodSpec = pod_spec(&mut json, path, conversion.findings)?;
            let status: Option<core::PodStatus> =
                json.get_mut("status").map(Json::take).and_then(|status| serde_json::from_value(status).ok());
            Config::Pod(object.object(conversion.pod(Some(spec), status)))
        }
        Kind::Service => {
            let spec: core::ServiceSpec = take(&mut json, "spec", path, conversion.findings)?;
            Config::Service(object.object(conversion.service(spec, path)?))
        }
        Kind::ServiceEntry => {
            let spec = take(&mut json, "spec", path, conversion.findings)?;
            Config::ServiceEntry(object.object(conversion.service_entry(spec, path)))
        }
        Kind::WorkloadEntry => {
            let spec = take(&mut json, "spec", path, conversion.findings)?;
            Config::WorkloadEntry(object.object(conversion.workload_entry(spec, path)))
        }
        Kind::VirtualService => {
            let spec = take(&mut json, "spec", path, conversion.findings)?;
            Config::VirtualService(object.object(conversion.virtual_service(spec, path)))
        }
        Kind::DestinationRule => {
            let spec = take(&mut json, "spec", path, conversion.findings)?;
            Config::DestinationRule(object.object(conversion.destination_rule(spec, path)?))
        }
        Kind::Sidecar => {
            let spec = take(&mut json, "spec", path, conversion.findings)?;
            Config::Sidecar(object.object(conversion.sidecar(spec, path)))
        }
        Kind::PeerAuthentication => {
            let spec = take(&mut json, "spec", path, conversion.findings)?;
            Config::PeerAuthentication(object.object(conversion.peer_authentication(spec, path)))
        }
    };
    Some(Declared::Config(Box::new(config)))
}

/// A Pod may do without a `spec` here, where only its labels and addresses count.
fn pod_spec(json: &mut Json, path: Path<'_>, findings: &mut Findings) -> Option<core::PodSpec> {
    match json.get("spec") {
        None => Some(core::PodSpec::default()),
        Some(_) => take(json, "spec", path, findings),
    }
}

fn whole<T: DeserializeOwned>(json: Json, findings: &mut Findings) -> Option<T> {
    match serde_json::from_value(json) {
        Ok(value) => Some(value),
        Err(error) => {
            findings.add(code::WRONG_TYPE, Path::root(), error.to_string(), "");
            None
        }
    }
}
