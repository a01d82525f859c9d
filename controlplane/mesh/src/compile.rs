//! From the mesh to Envoy's resources: pure functions, each of exactly the values that its result depends on.
//!
//! The argument of each function is a small `…Input` that can be hashed and compared at no cost (see [`Shared`]); the
//! snapshot room memoises results by it. Whatever is not in the input cannot be in the result.

pub mod check;
pub mod cluster;
pub mod endpoint;
pub mod listener;
pub mod route;
pub mod scope;
pub mod viewpoint;

use std::sync::Arc;

#[cfg(doc)]
use crate::model::Shared;
use crate::{model::Origin, snapshot::References};

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
