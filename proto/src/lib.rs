//! The wire types of Envoy's xDS API, and no logic: generated messages, the table of resource types, text conversion.
//!
//! The modules follow the protobuf packages: `envoy.config.cluster.v3.Cluster` is [`envoy::config::cluster::v3::Cluster`].
//! Everything is generated at build time from the descriptor set of the package `envoy-types`, with three choices of ours:
//!
//! - maps are `BTreeMap`, so that equal messages encode to equal bytes, in every process;
//! - `bytes` are [`bytes::Bytes`], also in [`google::protobuf::Any`], so that an encoded part is shared and not copied;
//! - every message implements [`prost::Name`], so that [`pack::any`] knows its type URL.
//!
//! Wrapper fields (`google.protobuf.UInt32Value` and the like) are plain `Option<u32>`.
//! Of the services only the clients of ADS and SDS are generated; the serving side is written by hand, because tonic's
//! codec would encode every response once per stream.

pub mod google;
pub mod pack;
pub mod text;
pub mod type_url;

pub use generated::{cel, envoy, io, opentelemetry, ratelimit, udpa, validate, xds};
pub use type_url::ResourceType;

#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::restriction,
    rustdoc::all,
    reason = "generated from Envoy's descriptor set; its shape is not ours to mend"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/modules.rs"));
}
