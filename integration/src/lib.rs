//! Tests, demo and benchmarks with real parts.

pub mod bench;
