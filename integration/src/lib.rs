//! Tests, demo and benchmarks with real parts.

pub mod bench;
pub mod bookinfo;
