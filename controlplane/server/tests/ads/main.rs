//! The aggregated discovery service over real sockets, with scripted proxies.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, also in what it calls"
)]

mod delta;
mod house;
mod limits;
mod objects;
mod process;
mod proxy;
mod reconnect;
mod refusal;
mod sotw;
