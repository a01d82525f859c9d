//! The rooms of the control plane's binary.

pub mod source;
