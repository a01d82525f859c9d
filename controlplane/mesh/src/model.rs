//! The mesh in plain values: what the store holds and the compiler reads.
//!
//! Every value was parsed before it came here, so nothing downstream checks it again.

pub mod code;
pub mod destination_rule;
pub mod duration;
pub mod endpoint;
pub mod mesh_config;
pub mod mesh_service;
pub mod name;
pub mod object;
pub mod peer_authentication;
pub mod problem;
pub mod protocol;
pub mod service;
pub mod service_entry;
pub mod shared;
pub mod sidecar;
pub mod string_match;
pub mod virtual_service;
pub mod visibility;
pub mod workload;

pub use name::{Hostname, Labels, Namespace, Selector};
pub use object::{Change, Config, Kind, Location, Object, ObjectId, Origin};
pub use problem::{Problem, Severity};
pub use shared::Shared;
