//! The rooms of the control plane's binary.

pub mod ads;
pub mod cli;
pub mod conditions;
pub mod crds;
pub mod dispatch;
pub mod http;
pub mod install;
pub mod leader;
pub mod metrics;
pub mod port;
pub mod server;
pub mod shutdown;
pub mod source;
pub mod status;
pub mod tls;
pub mod webhook;
