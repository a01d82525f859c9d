//! What a stream is sent, told with a proxy that follows a script.

#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking, in its helpers too")]

#[path = "push/conformance.rs"]
mod conformance;
#[path = "push/order.rs"]
mod order;
#[path = "push/proxy.rs"]
mod proxy;
#[path = "push/refusal.rs"]
mod refusal;
#[path = "push/resume.rs"]
mod resume;
#[path = "push/snapshots.rs"]
mod snapshots;
#[path = "push/subscription.rs"]
mod subscription;
