//! Messages to bytes, once: equal content shares memory, whatever it was made from.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use bytes::{Bytes, BytesMut};
use proto::{envoy::config::route::v3::VirtualHost, type_url::ResourceType};
use xxhash_rust::xxh3::xxh3_64;

use super::{Counters, References, Resource, Version};
use crate::{compile::Compiled, model::Origin};

/// Field `virtual_hosts` of a RouteConfiguration.
const VIRTUAL_HOSTS: u32 = 2;
/// The encoder does not look for dead entries below this many.
const SWEPT_MIN: usize = 4096;

/// One virtual host as a field of a RouteConfiguration, key and length included.
#[derive(Debug)]
pub(super) struct EncodedHost {
    pub(super) field: Bytes,
    pub(super) version: Version,
    pub(super) references: References,
    pub(super) provenance: Vec<Origin>,
}

/// Encodes, and remembers what is in use by its content.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) counters: Counters,
    resources: HashMap<(ResourceType, Version, Arc<str>), Weak<Resource>>,
    hosts: HashMap<Version, Weak<EncodedHost>>,
    sweep_at: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { counters: Counters::default(), resources: HashMap::new(), hosts: HashMap::new(), sweep_at: SWEPT_MIN }
    }
}

impl Encoder {
    /// Encodes the messages of one unit.
    pub(super) fn unit<M: prost::Message>(&mut self, kind: ResourceType, compiled: Vec<Compiled<M>>) -> super::Unit {
        self.counters.count_compiled(kind);
        compiled.into_iter().map(|compiled| self.message(kind, compiled)).collect()
    }

    fn message<M: prost::Message>(&mut self, kind: ResourceType, compiled: Compiled<M>) -> Arc<Resource> {
        let bytes = Bytes::from(compiled.message.encode_to_vec());
        self.counters.count_encode(kind, bytes.len());
        self.put_together(kind, compiled.name, &[bytes], compiled.references, compiled.provenance)
    }

    /// A resource from parts that are encoded already.
    pub(super) fn put_together(
        &mut self,
        kind: ResourceType,
        name: Arc<str>,
        parts: &[Bytes],
        references: References,
        provenance: Vec<Origin>,
    ) -> Arc<Resource> {
        self.sweep_when_due();
        let made = Arc::new(Resource::encode(kind, name, parts, references, provenance));
        let entry = self.resources.entry((kind, made.version, Arc::clone(&made.name))).or_default();
        if let Some(held) = entry.upgrade() {
            return held;
        }
        *entry = Arc::downgrade(&made);
        made
    }

    /// Encodes a virtual host.
    pub(super) fn host(&mut self, compiled: Compiled<VirtualHost>) -> Arc<EncodedHost> {
        self.sweep_when_due();
        let mut field = BytesMut::new();
        prost::encoding::message::encode(VIRTUAL_HOSTS, &compiled.message, &mut field);
        let field = field.freeze();
        self.counters.virtual_hosts += 1;
        let version = Version::from_hash(xxh3_64(&field));
        let entry = self.hosts.entry(version).or_default();
        if let Some(held) = entry.upgrade() {
            return held;
        }
        let Compiled { name: _, message: _, references, provenance } = compiled;
        let made = Arc::new(EncodedHost { field, version, references, provenance });
        *entry = Arc::downgrade(&made);
        made
    }

    fn sweep_when_due(&mut self) {
        if self.resources.len() + self.hosts.len() >= self.sweep_at {
            self.sweep();
        }
    }

    /// Forgets what nobody holds any more.
    pub(super) fn sweep(&mut self) {
        self.resources.retain(|_, held| held.strong_count() > 0);
        self.hosts.retain(|_, held| held.strong_count() > 0);
        self.sweep_at = SWEPT_MIN.max(2 * (self.resources.len() + self.hosts.len()));
    }
}
