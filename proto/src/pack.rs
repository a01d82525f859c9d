//! Messages into and out of `Any`.

use prost::Name;
use thiserror::Error;

use crate::google::protobuf::Any;

/// Packs a message with the type URL of its type.
#[must_use]
pub fn any<M: Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec().into() }
}

/// Unpacks a message of a known type.
///
/// # Errors
/// If the type URL is of another type, or the bytes are not a message of this one.
pub fn unpack<M: Name + Default>(packed: &Any) -> Result<M, UnpackError> {
    let wanted = M::type_url();
    if packed.type_url != wanted {
        return Err(UnpackError::OtherType { wanted, found: packed.type_url.clone() });
    }
    M::decode(packed.value.clone()).map_err(|source| UnpackError::Malformed { type_url: wanted, source })
}

/// Why an `Any` was not unpacked.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// It holds a message of another type.
    #[error("expected a message of type {wanted}, found {found}")]
    OtherType {
        /// The type URL asked for.
        wanted: String,
        /// The type URL found.
        found: String,
    },
    /// Its bytes do not decode.
    #[error("malformed message of type {type_url}: {source}")]
    Malformed {
        /// The type URL.
        type_url: String,
        /// What the decoder says.
        source: prost::DecodeError,
    },
}

#[cfg(test)]
mod tests {
    use super::{UnpackError, any, unpack};
    use crate::envoy::config::cluster::v3::Cluster;
    use crate::envoy::config::core::v3::Metadata;
    use crate::envoy::config::endpoint::v3::ClusterLoadAssignment;
    use crate::google::protobuf::{Any, Struct, Value};

    #[test]
    fn a_packed_message_unpacks_to_itself() {
        let cluster = Cluster { name: "outbound|80||a.default.svc.cluster.local".to_owned(), ..Cluster::default() };
        let packed = any(&cluster);
        assert_eq!(packed.type_url, "type.googleapis.com/envoy.config.cluster.v3.Cluster");
        assert_eq!(unpack::<Cluster>(&packed).unwrap(), cluster);
    }

    #[test]
    fn another_type_or_bad_bytes_are_refused() {
        let packed = any(&Cluster::default());
        assert!(matches!(unpack::<ClusterLoadAssignment>(&packed), Err(UnpackError::OtherType { .. })));
        let packed = Any { value: vec![0x0a, 0xff].into(), ..packed };
        assert!(matches!(unpack::<Cluster>(&packed), Err(UnpackError::Malformed { .. })));
    }

    #[test]
    fn equal_messages_with_maps_encode_to_equal_bytes() {
        let cluster = |reversed: bool| {
            let mut names: Vec<String> = (0..50).map(|number| format!("key-{number}")).collect();
            if reversed {
                names.reverse();
            }
            let fields = |name: &String| (name.clone(), Value::from(name.clone()));
            let inner = Struct { fields: names.iter().map(fields).collect() };
            let filter_metadata = names.iter().map(|name| (name.clone(), inner.clone())).collect();
            let typed_filter_metadata = names.iter().map(|name| (name.clone(), any(&Cluster::default()))).collect();
            Cluster { metadata: Some(Metadata { filter_metadata, typed_filter_metadata }), ..Cluster::default() }
        };
        let first = any(&cluster(false));
        for round in 0..50 {
            assert_eq!(any(&cluster(round % 2 == 0)), first);
        }
    }
}
