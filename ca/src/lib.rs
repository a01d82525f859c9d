//! The certificate authority of the mesh. Today it holds the identities that certificates will carry; signing is not there yet.

pub mod identity;

pub use identity::{IdentityError, SpiffeId, TrustDomain};
