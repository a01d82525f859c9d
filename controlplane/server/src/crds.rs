//! The custom resource definitions of Istio's kinds, made from the same types and rules with which files are checked.

mod names;
mod status;
mod structural;

use std::collections::BTreeMap;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionSpec,
        CustomResourceDefinitionVersion, CustomResourceSubresourceStatus, CustomResourceSubresources,
        CustomResourceValidation, JSONSchemaProps,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

pub use self::names::short_name;
use crate::source::istio::{IstioKind, Presence};

/// The definition of a kind; the same one every time.
#[must_use]
pub fn definition(kind: &IstioKind) -> CustomResourceDefinition {
    let spec = structural::spec(kind);
    let version = |(at, name): (usize, &&str)| CustomResourceDefinitionVersion {
        name: (*name).to_owned(),
        served: true,
        storage: at == 0,
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(object(kind, &spec)) }),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(serde_json::Value::Object(serde_json::Map::new()))),
            scale: None,
        }),
        additional_printer_columns: Some(names::columns(kind)),
        ..CustomResourceDefinitionVersion::default()
    };
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", kind.plural, kind.group)),
            labels: Some(strings(&[
                ("app.kubernetes.io/name", "mainsheet"),
                ("app.kubernetes.io/part-of", "mainsheet"),
                ("app.kubernetes.io/component", "crds"),
            ])),
            // To uninstall the chart is not to delete every object of the mesh.
            annotations: Some(strings(&[("helm.sh/resource-policy", "keep")])),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: kind.group.to_owned(),
            names: CustomResourceDefinitionNames {
                kind: kind.name.to_owned(),
                list_kind: Some(format!("{}List", kind.name)),
                plural: kind.plural.to_owned(),
                singular: Some(kind.name.to_ascii_lowercase()),
                short_names: short_name(kind).map(|name| vec![name.to_owned()]),
                categories: Some(names::categories(kind)),
            },
            scope: "Namespaced".to_owned(),
            versions: kind.versions.iter().enumerate().map(version).collect(),
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

/// The schema of whole objects.
fn object(kind: &IstioKind, spec: &JSONSchemaProps) -> JSONSchemaProps {
    let properties = [("spec", spec.clone()), ("status", status::schema())];
    JSONSchemaProps {
        type_: Some("object".to_owned()),
        description: spec.description.clone(),
        properties: Some(properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()),
        required: (kind.spec == Presence::Required).then(|| vec!["spec".to_owned()]),
        ..JSONSchemaProps::default()
    }
}

fn strings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
