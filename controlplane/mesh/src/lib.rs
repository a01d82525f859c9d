//! The compiler of Mainsheet: from mesh objects to versioned xDS snapshots and the order in which a proxy gets them.
//!
//! The way of the data is the order of the modules: [`model`] → [`store`] → [`compile`] → [`snapshot`] → [`push`].
//! Nothing here does I/O, reads a clock or waits.

pub mod compile;
pub mod model;
pub mod push;
pub mod snapshot;
pub mod store;
