//! Responses as they go: a small head for each stream, and bodies that all streams share.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use mesh::{push::Protocol, snapshot::Resource};
use prost::encoding::{WireType, encode_key, encode_varint};

/// Bytes of shared bodies that are kept for streams which have not asked yet.
const BODIES_LEN_MAX: usize = 32 << 20;
/// Shared bodies that are kept.
const BODIES_MAX: usize = 4096;

/// Field numbers of `DeltaDiscoveryResponse` and `DiscoveryResponse`, as far as they are the same.
const VERSION: u32 = 1;
const TYPE_URL: u32 = 4;
const NONCE: u32 = 5;
/// Field number of `DeltaDiscoveryResponse.removed_resources`.
const REMOVED: u32 = 6;

/// What a response says, before it is bytes.
#[derive(Debug)]
pub(super) struct Response<'a> {
    pub(super) protocol: Protocol,
    pub(super) type_url: &'a str,
    pub(super) version: &'a str,
    pub(super) nonce: &'a str,
    pub(super) resources: &'a [Arc<Resource>],
    pub(super) removed: &'a [Arc<str>],
}

/// A response as it goes to the wire: one gRPC message in at most two pieces.
#[derive(Debug, Clone, Default)]
pub(super) struct Encoded {
    /// gRPC's prefix and the fields that differ from stream to stream.
    pub(super) head: Bytes,
    /// The fields that are the same for every stream; the same memory.
    pub(super) body: Bytes,
}

impl Encoded {
    /// All bytes of it.
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// The bodies that streams share, each put together once.
///
/// A lock, because streams on several threads meet here; it is held to look a body up, never to encode one.
#[derive(Debug, Default)]
pub struct Bodies {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_hash: HashMap<u64, Vec<Arc<Body>>>,
    /// Oldest first, with their lengths.
    order: VecDeque<(u64, usize)>,
    len: usize,
}

/// A body with what it is made of. Resources are compared by identity; being held here they cannot become others.
#[derive(Debug)]
struct Body {
    protocol: Protocol,
    resources: Vec<Arc<Resource>>,
    removed: Vec<Arc<str>>,
    bytes: OnceLock<Bytes>,
}

/// Whether a body had to be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// It was there, or is a resource's own memory.
    Shared,
    /// It was put together now.
    Encoded,
}

impl Bodies {
    /// The bytes of a response, and whether its body had to be put together for it.
    pub(super) fn encode(&self, response: &Response<'_>) -> (Encoded, Effort) {
        let (body, effort) = match response.resources {
            [] => (Bytes::new(), Effort::Shared),
            [resource] => (field(response.protocol, resource), Effort::Shared),
            _ => self.body(response),
        };
        // A body of several resources holds the names of removed ones; alone or beside one resource they are in the head.
        let removed = if response.resources.len() > 1 { &[][..] } else { response.removed };
        (Encoded { head: head(response, removed, body.len()), body }, effort)
    }

    fn body(&self, response: &Response<'_>) -> (Bytes, Effort) {
        let entry = self.entry(response);
        let mut effort = Effort::Shared;
        let bytes = entry.bytes.get_or_init(|| {
            effort = Effort::Encoded;
            entry.encode()
        });
        (bytes.clone(), effort)
    }

    fn entry(&self, response: &Response<'_>) -> Arc<Body> {
        let hash = identity(response);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = held.by_hash.get(&hash).and_then(|bodies| bodies.iter().find(|body| body.is(response))) {
            return Arc::clone(found);
        }
        let entry = Arc::new(Body {
            protocol: response.protocol,
            resources: response.resources.to_vec(),
            removed: response.removed.to_vec(),
            bytes: OnceLock::new(),
        });
        let len = entry.len();
        if len <= BODIES_LEN_MAX {
            held.insert(hash, len, Arc::clone(&entry));
        }
        entry
    }
}

impl Held {
    fn insert(&mut self, hash: u64, len: usize, body: Arc<Body>) {
        while self.len + len > BODIES_LEN_MAX || self.order.len() >= BODIES_MAX {
            let Some((oldest, freed)) = self.order.pop_front() else { break };
            self.len -= freed;
            if let Some(bodies) = self.by_hash.get_mut(&oldest) {
                bodies.remove(0);
                if bodies.is_empty() {
                    self.by_hash.remove(&oldest);
                }
            }
        }
        self.by_hash.entry(hash).or_default().push(body);
        self.order.push_back((hash, len));
        self.len += len;
    }
}

impl Body {
    fn is(&self, response: &Response<'_>) -> bool {
        self.protocol == response.protocol
            && self.removed == response.removed
            && self.resources.len() == response.resources.len()
            && self.resources.iter().zip(response.resources).all(|(held, asked)| Arc::ptr_eq(held, asked))
    }

    fn len(&self) -> usize {
        let resources = self.resources.iter().map(|resource| field(self.protocol, resource).len()).sum::<usize>();
        // Key and length take at most 6 bytes, since the length of a name fits into 32 bits.
        resources + self.removed.iter().map(|name| name.len() + 6).sum::<usize>()
    }

    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.len());
        for resource in &self.resources {
            bytes.put(field(self.protocol, resource));
        }
        put_removed(self.protocol, &self.removed, &mut bytes);
        bytes.freeze()
    }
}

/// Field `resources` for one resource, key and length included: the resource's own memory.
fn field(protocol: Protocol, resource: &Resource) -> Bytes {
    match protocol {
        Protocol::Delta => resource.delta_field(),
        Protocol::StateOfTheWorld => resource.sotw_field(),
    }
}

/// A number for the list of resources, by their identity; equal lists have equal numbers.
fn identity(response: &Response<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    response.protocol.hash(&mut hasher);
    for resource in response.resources {
        Arc::as_ptr(resource).hash(&mut hasher);
    }
    response.removed.hash(&mut hasher);
    hasher.finish()
}

fn head(response: &Response<'_>, removed: &[Arc<str>], body_len: usize) -> Bytes {
    const PREFIX: [u8; 5] = [0; 5];
    let mut head =
        BytesMut::with_capacity(64 + response.type_url.len() + response.version.len() + response.nonce.len());
    head.put_slice(&PREFIX);
    put_text(VERSION, response.version, &mut head);
    put_text(TYPE_URL, response.type_url, &mut head);
    put_text(NONCE, response.nonce, &mut head);
    put_removed(response.protocol, removed, &mut head);
    // A message of 4 GiB cannot come: resources are held in memory many times smaller.
    let len = u32::try_from(head.len() - PREFIX.len() + body_len).unwrap_or(u32::MAX);
    if let Some(place) = head.get_mut(1..PREFIX.len()) {
        place.copy_from_slice(&len.to_be_bytes());
    }
    head.freeze()
}

fn put_removed(protocol: Protocol, removed: &[Arc<str>], buffer: &mut BytesMut) {
    match protocol {
        Protocol::Delta => removed.iter().for_each(|name| put_text(REMOVED, name, buffer)),
        // What is not in the response is not there: the protocol has no field for it.
        Protocol::StateOfTheWorld => {}
    }
}

fn put_text(number: u32, text: &str, buffer: &mut BytesMut) {
    if !text.is_empty() || number == REMOVED {
        encode_key(number, WireType::LengthDelimited, buffer);
        encode_varint(text.len() as u64, buffer);
        buffer.put_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use mesh::snapshot::References;
    use prost::Message as _;
    use proto::{
        ResourceType,
        envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse},
    };

    use super::*;

    fn resource(name: &str) -> Arc<Resource> {
        let parts = [Bytes::from(format!("\x0a{}{name}", char::from(u8::try_from(name.len()).unwrap())))];
        Arc::new(Resource::encode(ResourceType::Cluster, name.into(), &parts, References::default(), Vec::new()))
    }

    fn response<'a>(protocol: Protocol, resources: &'a [Arc<Resource>], removed: &'a [Arc<str>]) -> Response<'a> {
        let type_url = ResourceType::Cluster.type_url();
        Response { protocol, type_url, version: "v", nonce: "n", resources, removed }
    }

    fn message(encoded: &Encoded) -> Bytes {
        let whole = Bytes::from([&encoded.head[..], &encoded.body].concat());
        assert_eq!(whole[0], 0, "not compressed");
        assert_eq!(u32::from_be_bytes(whole[1..5].try_into().unwrap()) as usize, whole.len() - 5);
        assert_eq!(encoded.len(), whole.len());
        whole.slice(5..)
    }

    #[test]
    fn a_delta_response_is_read_by_the_generated_type() {
        let bodies = Bodies::default();
        let resources = [resource("a"), resource("b")];
        let removed: [Arc<str>; 2] = ["c".into(), "d".into()];
        for (count, gone) in [(0, 0), (0, 2), (1, 0), (1, 1), (2, 0), (2, 2)] {
            let (encoded, _) = bodies.encode(&response(Protocol::Delta, &resources[..count], &removed[..gone]));
            let read = DeltaDiscoveryResponse::decode(message(&encoded)).unwrap();
            assert_eq!(read.system_version_info, "v");
            assert_eq!(read.nonce, "n");
            assert_eq!(read.type_url, ResourceType::Cluster.type_url());
            assert_eq!(read.removed_resources, ["c", "d"][..gone]);
            assert_eq!(read.resources.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["a", "b"][..count]);
        }
    }

    #[test]
    fn a_state_of_the_world_response_is_read_by_the_generated_type() {
        let bodies = Bodies::default();
        let resources = [resource("a"), resource("b")];
        for count in 0..=2 {
            let (encoded, _) = bodies.encode(&response(Protocol::StateOfTheWorld, &resources[..count], &[]));
            let read = DiscoveryResponse::decode(message(&encoded)).unwrap();
            assert_eq!((read.version_info.as_str(), read.nonce.as_str()), ("v", "n"));
            assert_eq!(read.resources.len(), count);
            assert!(read.resources.iter().all(|any| any.type_url == ResourceType::Cluster.type_url()));
        }
    }

    #[test]
    fn streams_share_one_body_in_memory() {
        let bodies = Bodies::default();
        let resources = [resource("a"), resource("b")];
        let (first, effort) = bodies.encode(&response(Protocol::Delta, &resources, &[]));
        assert_eq!(effort, Effort::Encoded);
        let (second, effort) = bodies.encode(&response(Protocol::Delta, &resources, &[]));
        assert_eq!(effort, Effort::Shared);
        assert_eq!(first.body.as_ptr(), second.body.as_ptr());
        let (alone, effort) = bodies.encode(&response(Protocol::Delta, &resources[..1], &[]));
        assert_eq!(effort, Effort::Shared);
        assert_eq!(alone.body.as_ptr(), resources[0].delta_field().as_ptr());
    }

    #[test]
    fn what_differs_is_not_shared() {
        let bodies = Bodies::default();
        let resources = [resource("a"), resource("b")];
        let swapped = [Arc::clone(&resources[1]), Arc::clone(&resources[0])];
        let removed: [Arc<str>; 1] = ["c".into()];
        for asked in [
            response(Protocol::Delta, &resources, &[]),
            response(Protocol::Delta, &swapped, &[]),
            response(Protocol::Delta, &resources, &removed),
            response(Protocol::StateOfTheWorld, &resources, &[]),
        ] {
            assert_eq!(bodies.encode(&asked).1, Effort::Encoded);
        }
    }

    #[test]
    fn old_bodies_make_room_for_new_ones() {
        let bodies = Bodies::default();
        for number in 0..BODIES_MAX + 10 {
            let resources = [resource(&number.to_string()), resource("b")];
            bodies.encode(&response(Protocol::Delta, &resources, &[]));
        }
        let held = bodies.held.lock().unwrap();
        assert_eq!(held.order.len(), BODIES_MAX);
        assert_eq!(held.by_hash.values().map(Vec::len).sum::<usize>(), BODIES_MAX);
        assert_eq!(held.len, held.order.iter().map(|(_, len)| len).sum::<usize>());
    }
}
