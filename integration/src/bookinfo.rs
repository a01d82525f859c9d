//! Bookinfo, the sample application of the demo: one program that plays a page about a book and the services behind it.
//!
//! `productpage` asks `details` and `reviews`; versions 2 and 3 of `reviews` ask `ratings`. Every call to another service names it in the `Host`
//! header and goes to one address, that of the Envoy beside the caller, or, in a cluster, where the name leads: how it gets there is the mesh's business.

pub mod behaviour;
pub mod call;
pub mod catalogue;
pub mod page;
pub mod passed_on;
pub mod productpage;
pub mod server;
