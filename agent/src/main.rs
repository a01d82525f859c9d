//! Beside each Envoy.
fn main() {}
