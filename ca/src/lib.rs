//! The certificate authority of the mesh: identities, keys, requests, signing, trust bundles, and the rotation of roots.
//!
//! It does no I/O and reads no clock: time and the randomness of serial numbers are arguments. Keys and signatures come from the
//! cryptographic library's own generator. Nothing here writes a key anywhere.

pub mod authority;
pub mod bundle;
mod certificate;
pub mod csr;
#[cfg(test)]
mod fixture;
pub mod identity;
pub mod key;
mod pem;
pub mod revocation;
pub mod rotation;
pub mod sign;
pub mod terms;

pub use authority::{Authority, AuthorityError, AuthorityFiles};
pub use bundle::{BundleError, Fingerprint, TrustBundle};
pub use csr::{AcceptedKeys, RequestError, VerifiedRequest};
pub use identity::{IdentityError, SpiffeId, TrustDomain};
pub use key::{KeyAlgorithm, KeyError, PrivateKey};
pub use rotation::{Record, Rotation};
pub use sign::{Issued, Workload, sign, sign_server};
pub use terms::{Serial, SignError, Terms};
