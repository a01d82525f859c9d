//! The custom resource definitions in a real API server: what it takes and refuses, and that files are judged alike.

#![allow(clippy::indexing_slicing, reason = "what a JSON value does not have is null, and indexing it never panics")]

mod api;
mod cases;
mod definitions;
