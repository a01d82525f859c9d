//! From changes to snapshots: the rooms store, compile and snapshot together, through their public doors.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected must stop")]

mod authentication;
mod check;
mod cost;
mod limits;
mod property;
mod sample;
mod scope;
mod snapshots;
mod store;
mod twins;
mod viewpoint;
mod world;
