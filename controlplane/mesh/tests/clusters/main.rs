//! Clusters and load assignments of any service and any rule: what holds for all of them, and that the real Envoy takes them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod envoy;
#[path = "../oracle/envoy.rs"]
mod oracle;
mod properties;
mod strategy;
