//! Puts the control plane into a cluster and takes it out again: the objects of `manifests/install.yaml`, which is part of this program.

mod apply;
mod contents;
mod error;
mod manifest;
mod object;
mod remove;
mod rollout;

pub use self::{
    apply::{Apply, FIELD_MANAGER, apply},
    error::InstallError,
    manifest::{Choices, objects},
    object::Object,
    remove::remove,
    rollout::available,
};
