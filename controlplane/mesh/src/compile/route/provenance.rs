//! Which objects made a route, where access logs and tools find it.

use std::collections::BTreeMap;

use proto::{
    envoy::config::core::v3::Metadata,
    google::protobuf::{Struct, Value},
};

use crate::{
    compile::cluster::metadata,
    model::{ObjectId, Origin},
};

/// Metadata that names the object as Istio does (`istio`, `config`), and the fields that said so in our words
/// (`mainsheet`, `origins`).
pub(crate) fn metadata(object: &ObjectId, origins: &[Origin]) -> Metadata {
    let mut filter_metadata = BTreeMap::new();
    if let Some(config) = object.metadata_config() {
        let fields = BTreeMap::from([("config".to_owned(), Value::from(config))]);
        filter_metadata.insert("istio".to_owned(), Struct { fields });
    }
    if let Some(own) = metadata::provenance(origins) {
        filter_metadata.insert("mainsheet".to_owned(), own);
    }
    Metadata { filter_metadata, ..Metadata::default() }
}
