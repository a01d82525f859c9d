//! The scale harness: what a push costs, as a ratio to the raw floor measured in the same run.
//!
//! A fleet of simulated proxies ([`fleet`]) subscribes as Envoy does and checks every byte it gets; [`shape`] writes the
//! mesh that is served, [`floor`] streams ready-made bytes of the same sizes, [`run`] drives the rounds, [`churn`]
//! those that do not wait for one another, and [`report`] prints them.

pub mod churn;
pub mod fleet;
pub mod floor;
pub mod report;
pub mod run;
pub mod server;
pub mod shape;
