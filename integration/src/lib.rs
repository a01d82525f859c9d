//! Parts for tests, demo and benchmarks with real Envoys: processes, loopback addresses, HTTP servers and clients, and scenarios made of them.
//!
//! Nothing here but `bench` knows how the control plane works inside: it is started as a process and spoken to through its command line, its
//! directory of files and its two ports.

pub mod app;
pub mod bench;
pub mod bookinfo;
pub mod client;
pub mod cluster;
pub mod control_plane;
pub mod demo;
pub mod envoy;
pub mod load;
pub mod manifest;
pub mod mesh;
pub mod outside;
pub mod ports;
pub mod process;
pub mod random;
pub mod scenario;
pub mod soak;
pub mod tally;
pub mod wait;
