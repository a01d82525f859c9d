//! One encoded resource, ready for the wire in both protocols.

use std::{fmt, ops::Range, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use proto::type_url::ResourceType;
use xxhash_rust::xxh3::Xxh3;

use crate::{compile::References, model::Origin};

/// The version of a resource: a hash of its content, shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// A version from a content hash.
    #[must_use]
    pub fn from_hash(hash: u64) -> Self {
        Self(hash)
    }

    /// Reads what [`fmt::Display`] writes; anything else was not written by us.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }

    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One encoded resource. Its bytes are made once and shared by every stream, in both protocols.
#[derive(Debug)]
pub struct Resource {
    /// Its name.
    pub name: Arc<str>,
    /// The hash of its content.
    pub version: Version,
    /// What else the proxy must hold.
    pub references: References,
    /// The objects that made it.
    pub provenance: Vec<Origin>,
    /// Field `resources` of a delta response: key, length, `Resource { version, resource: Any, name }`.
    entry: Bytes,
    /// Where in `entry` the field `resource` lies: its key and length are those of field `resources` in a state-of-the-world response.
    any: Range<usize>,
}

/// Equal by name and version, since a version is the hash of the content.
impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.name == other.name
    }
}

impl Eq for Resource {}

/// Field numbers of `envoy.service.discovery.v3.Resource`, `google.protobuf.Any` and of `resources` in both responses.
const RESOURCE_VERSION: u32 = 1;
const RESOURCE_ANY: u32 = 2;
const RESOURCE_NAME: u32 = 3;
const ANY_TYPE_URL: u32 = 1;
const ANY_VALUE: u32 = 2;
const RESPONSE_RESOURCES: u32 = 2;

impl Resource {
    /// Encodes a resource from the parts of its message, which protobuf lets us put one after the other.
    #[must_use]
    pub fn encode(
        kind: ResourceType,
        name: Arc<str>,
        parts: &[Bytes],
        references: References,
        provenance: Vec<Origin>,
    ) -> Self {
        let mut hasher = Xxh3::new();
        for part in parts {
            hasher.update(part);
        }
        let version = Version(hasher.digest());
        let version_text = version.to_string();
        let type_url = kind.type_url();
        let value_len = parts.iter().map(Bytes::len).sum::<usize>();
        let any_len = field_len(ANY_TYPE_URL, type_url.len()) + field_len(ANY_VALUE, value_len);
        let before_any = field_len(RESOURCE_VERSION, version_text.len());
        let resource_len = before_any + field_len(RESOURCE_ANY, any_len) + field_len(RESOURCE_NAME, name.len());

        let mut entry = BytesMut::with_capacity(field_len(RESPONSE_RESOURCES, resource_len));
        put_head(&mut entry, RESPONSE_RESOURCES, resource_len);
        put_field(&mut entry, RESOURCE_VERSION, version_text.as_bytes());
        let any_start = entry.len();
        put_head(&mut entry, RESOURCE_ANY, any_len);
        put_field(&mut entry, ANY_TYPE_URL, type_url.as_bytes());
        put_head(&mut entry, ANY_VALUE, value_len);
        for part in parts {
            entry.put_slice(part);
        }
        let any = any_start..entry.len();
        put_field(&mut entry, RESOURCE_NAME, name.as_bytes());
        Self { name, version, references, provenance, entry: entry.freeze(), any }
    }

    /// Field `resources` of a delta response, key and length included.
    #[must_use]
    pub fn delta_field(&self) -> Bytes {
        self.entry.clone()
    }

    /// Field `resources` of a state-of-the-world response, key and length included; the same memory.
    #[must_use]
    pub fn sotw_field(&self) -> Bytes {
        self.entry.slice(self.any.clone())
    }

    /// Bytes that it takes in a delta response.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entry.len()
    }

    /// Never: a resource has at least a version and a type.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entry.is_empty()
    }

    /// The encoded message itself.
    #[must_use]
    pub fn message(&self) -> Bytes {
        use prost::Message as _;
        let sotw = self.sotw_field();
        // The slice is one response field that we encoded ourselves, so it decodes; a default stands for the impossible.
        proto::envoy::service::discovery::v3::DiscoveryResponse::decode(sotw)
            .ok()
            .and_then(|response| response.resources.into_iter().next())
            .map(|any| any.value)
            .unwrap_or_default()
    }
}

fn field_len(number: u32, len: usize) -> usize {
    key_len(number) + encoded_len_varint(len as u64) + len
}

fn put_head(buffer: &mut BytesMut, number: u32, len: usize) {
    encode_key(number, WireType::LengthDelimited, buffer);
    encode_varint(len as u64, buffer);
}

fn put_field(buffer: &mut BytesMut, number: u32, value: &[u8]) {
    put_head(buffer, number, value.len());
    buffer.put_slice(value);
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use proto::envoy::{
        config::cluster::v3::Cluster,
        service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse},
    };

    use super::*;

    fn cluster() -> Resource {
        let message = Bytes::from(Cluster { name: "web".into(), ..Cluster::default() }.encode_to_vec());
        Resource::encode(ResourceType::Cluster, "web".into(), &[message], References::default(), Vec::new())
    }

    #[test]
    fn one_encoding_serves_both_protocols() {
        let resource = cluster();
        let delta = DeltaDiscoveryResponse::decode(resource.delta_field()).unwrap();
        let sotw = DiscoveryResponse::decode(resource.sotw_field()).unwrap();
        let entry = &delta.resources[0];
        assert_eq!((entry.name.as_str(), entry.version.as_str()), ("web", resource.version.to_string().as_str()));
        assert_eq!(entry.resource.as_ref(), sotw.resources.first());
        assert_eq!(Cluster::decode(resource.message()).unwrap().name, "web");
        assert_eq!(resource.len(), resource.delta_field().len());
    }

    #[test]
    fn parts_make_the_same_resource_as_the_whole() {
        let whole = cluster();
        let bytes = whole.message();
        let parts = [bytes.slice(..2), bytes.slice(2..)];
        let put_together =
            Resource::encode(ResourceType::Cluster, "web".into(), &parts, References::default(), Vec::new());
        assert_eq!(put_together.version, whole.version);
        assert_eq!(put_together.delta_field(), whole.delta_field());
    }

    #[test]
    fn versions_are_read_as_they_are_written() {
        let version = Version::from_hash(0x00ab);
        assert_eq!(Version::parse(&version.to_string()), Some(version));
        assert_eq!(Version::parse("ab"), None);
        assert_eq!(Version::parse("+000000000000000"), None);
    }
}
