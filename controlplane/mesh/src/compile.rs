//! From the mesh to Envoy's resources: pure functions, each of exactly the values that its result depends on.
//!
//! The argument of each function is a small `…Input` that can be hashed and compared at no cost (see [`Shared`]); the
//! snapshot room memoises results by it. Whatever is not in the input cannot be in the result.

pub mod check;
pub mod cluster;
pub mod duration;
pub mod endpoint;
pub mod listener;
mod mesh_tls;
pub mod route;
pub mod scope;
pub mod viewpoint;

use std::sync::Arc;

use crate::model::Origin;
#[cfg(doc)]
use crate::model::Shared;

/// A compiled resource with all that goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled<M> {
    /// Its name.
    pub name: Arc<str>,
    /// The message.
    pub message: M,
    /// What else a proxy must hold for it to work.
    pub references: References,
    /// The objects that made it.
    pub provenance: Vec<Origin>,
}

/// What else a proxy must hold for a resource to work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Clusters that a listener or route configuration sends to.
    pub clusters: Vec<Arc<str>>,
    /// Route configurations that a listener asks for.
    pub routes: Vec<Arc<str>>,
    /// The load assignment that a cluster asks for.
    pub endpoints: Option<Arc<str>>,
    /// Whether a cluster asks name servers before it serves.
    pub resolves: bool,
}
