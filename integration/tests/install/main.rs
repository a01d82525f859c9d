//! Installation: the manifests, the command, and a real cluster with both.

#![allow(clippy::indexing_slicing, reason = "an index into JSON that is not there gives null")]

mod api_server;
mod cluster;
mod manifests;
mod run;
