//! Metadata of clusters: what Istio's tools read under `istio`, and our provenance under `mainsheet`.

use std::collections::BTreeMap;

use proto::{
    envoy::config::core::v3::Metadata,
    google::protobuf::{Struct, Value, ValueKind},
};

use crate::{
    compile::{mesh_tls::SNIFFED, scope::MeshService},
    model::{ObjectId, Origin, service::Registry},
};

/// The key that Istio's filters, `istioctl` and Kiali read.
const ISTIO: &str = "istio";
/// The key of our own metadata.
pub const MAINSHEET: &str = "mainsheet";

/// What a cluster says of itself.
#[derive(Debug, Default)]
pub(super) struct ClusterMetadata<'a> {
    /// The services it stands for.
    pub(super) services: Vec<&'a MeshService>,
    /// The DestinationRule that shaped it.
    pub(super) rule: Option<&'a ObjectId>,
    /// The subset it is.
    pub(super) subset: Option<&'a str>,
    /// The objects and fields that made it.
    pub(super) origins: &'a [Origin],
    /// Whether its servers learn from the application protocol of TLS what a connection carries.
    pub(super) sniffed: bool,
}

impl ClusterMetadata<'_> {
    /// The metadata as Envoy holds it.
    pub(super) fn to_proto(&self) -> Metadata {
        let mut istio = BTreeMap::new();
        if let Some(config) = self.rule.and_then(ObjectId::metadata_config) {
            istio.insert("config".to_owned(), Value::from(config));
        }
        let services: Vec<Value> = self.services.iter().map(|service| service_value(service)).collect();
        if !services.is_empty() {
            istio.insert("services".to_owned(), Value::from(services));
        }
        if self.services.iter().any(|s| s.service.registry == Registry::ExternalEntry) {
            istio.insert("external".to_owned(), Value::from(true));
        }
        if let Some(subset) = self.subset {
            istio.insert("subset".to_owned(), Value::from(subset));
        }
        let mut filter_metadata = BTreeMap::new();
        if !istio.is_empty() {
            filter_metadata.insert(ISTIO.to_owned(), Struct { fields: istio });
        }
        let mut own = provenance(self.origins).unwrap_or_default();
        if self.sniffed {
            own.fields.insert(SNIFFED.to_owned(), Value::from(true));
        }
        if !own.fields.is_empty() {
            filter_metadata.insert(MAINSHEET.to_owned(), own);
        }
        Metadata { filter_metadata, typed_filter_metadata: BTreeMap::new() }
    }
}

/// `{"origins": ["DestinationRule default/reviews: spec.trafficPolicy", …]}`, the words of our problems, so that an
/// access log can name the YAML with `%CLUSTER_METADATA(mainsheet:origins)%`. Nothing when there are none.
#[must_use]
pub fn provenance(origins: &[Origin]) -> Option<Struct> {
    if origins.is_empty() {
        return None;
    }
    let texts: Vec<Value> = origins.iter().map(|origin| Value::from(origin_text(origin))).collect();
    Some(Struct { fields: BTreeMap::from([("origins".to_owned(), Value::from(texts))]) })
}

fn origin_text(origin: &Origin) -> String {
    if origin.field.is_empty() { origin.object.to_string() } else { format!("{}: {}", origin.object, origin.field) }
}

fn service_value(service: &MeshService) -> Value {
    let service = &service.service;
    let field = |key: &str, value: &str| (key.to_owned(), Value::from(value));
    let fields = BTreeMap::from([
        field("name", &service.name),
        field("namespace", service.namespace.as_str()),
        field("host", service.hostname.as_str()),
    ]);
    Value { kind: Some(ValueKind::StructValue(Struct { fields })) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::cluster::fixture;

    fn text(value: Option<&Value>) -> String {
        match value.and_then(|v| v.kind.clone()) {
            Some(ValueKind::StringValue(text)) => text,
            other => panic!("not a string: {other:?}"),
        }
    }

    #[test]
    fn metadata_names_the_rule_the_service_and_the_subset_as_istio_does() {
        let service = fixture::service("reviews");
        let rule = fixture::rule();
        let origins = [Origin::whole(&service.origin), Origin::field(&rule.origins[0], "spec.trafficPolicy")];
        let metadata = ClusterMetadata {
            services: vec![&service],
            rule: rule.origins.first(),
            subset: Some("v1"),
            origins: &origins,
            sniffed: false,
        }
        .to_proto();
        let istio = &metadata.filter_metadata["istio"].fields;
        assert_eq!(
            text(istio.get("config")),
            "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews"
        );
        assert_eq!(text(istio.get("subset")), "v1");
        assert!(!istio.contains_key("external"));
        let Some(ValueKind::ListValue(services)) = istio["services"].kind.clone() else { panic!("no services") };
        let Some(ValueKind::StructValue(first)) = services.values[0].kind.clone() else { panic!("not an object") };
        assert_eq!(text(first.fields.get("host")), "reviews.default.svc.cluster.local");

        let own = &metadata.filter_metadata["mainsheet"].fields["origins"];
        let Some(ValueKind::ListValue(own)) = own.kind.clone() else { panic!("no origins") };
        assert_eq!(text(own.values.first()), "Service default/reviews");
        assert_eq!(text(own.values.get(1)), "DestinationRule default/reviews: spec.trafficPolicy");
    }

    #[test]
    fn a_service_outside_the_mesh_is_marked() {
        let mut service = fixture::service("api");
        service.service.registry = Registry::ExternalEntry;
        let metadata = ClusterMetadata { services: vec![&service], ..ClusterMetadata::default() }.to_proto();
        assert_eq!(metadata.filter_metadata["istio"].fields["external"], Value::from(true));
        assert!(!metadata.filter_metadata.contains_key("mainsheet"));
    }
}
