//! What of a message makes two states differ: all but the absolute count in its nonce.

use std::hash::{Hash, Hasher};

use mesh::push::Request;

pub(crate) fn hash_request(request: &Request, hasher: &mut impl Hasher, rename: &mut impl FnMut(u64) -> u64) {
    match request {
        Request::Delta { kind, subscribe, unsubscribe, initial_versions, nonce, error } => {
            (kind, subscribe, unsubscribe, initial_versions, rename(count(nonce)), error).hash(hasher);
        }
        Request::Sotw { kind, names, version, nonce, error } => {
            (kind, names, version, rename(count(nonce)), error).hash(hasher);
        }
    }
}

/// The count in a nonce such as `eds1f`; 0 for none.
pub(crate) fn count(nonce: &str) -> u64 {
    nonce.get(3..).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
