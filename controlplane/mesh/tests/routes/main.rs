//! Routes and listeners of any mesh: what holds for all of them, and that the real Envoy takes them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod envoy;
mod http;
#[path = "../oracle/envoy.rs"]
mod oracle;
mod properties;
mod world;
