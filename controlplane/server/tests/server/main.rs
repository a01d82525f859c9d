//! The rooms of the server together: scripted proxies over real sockets, what is published, pages, the binary itself.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, also in what it calls"
)]

mod binary;
mod delta;
mod dispatch;
mod hostile;
mod house;
mod http;
mod limits;
mod objects;
mod process;
mod proxy;
mod reconnect;
mod refusal;
mod sotw;
mod wire;
