//! The objects of a real API server, followed by a real control plane: whatever happens to them, to it, or to the way there.

#![allow(clippy::indexing_slicing, reason = "an index into JSON that is not there gives null")]

mod churn;
mod cli;
mod faults;
mod namespaces;
mod objects;
mod pages;
mod permissions;
mod proxies;
mod replicas;
mod scale;
mod stage;
mod status;
mod webhook;
mod world;
