//! Types that are not served: asked for all the same, they are answered with nothing, so that the proxy does not wait.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use mesh::push::Protocol;
use tonic::Status;

use super::{
    request::Asked,
    response::{Bodies, Encoded, Response},
};

/// Types that one stream may ask for in vain.
const TYPES_MAX: usize = 32;
/// Longest name of a type, in bytes.
const TYPE_URL_LEN_MAX: usize = 256;
/// Answers that wait; the peer's next request is not read before there is room.
const WAITING_MAX: usize = 8;

/// What one stream asked for in vain.
#[derive(Debug, Default)]
pub(super) struct Unserved {
    types: BTreeSet<String>,
    answered: u64,
    waiting: VecDeque<Encoded>,
}

impl Unserved {
    /// Takes a request for a type that is not served.
    ///
    /// # Errors
    /// When it has no type, or the stream asked for too many.
    pub(super) fn receive(&mut self, asked: &Asked, protocol: Protocol, bodies: &Bodies) -> Result<(), Status> {
        let type_url = asked.type_url.as_str();
        if type_url.is_empty() || type_url.len() > TYPE_URL_LEN_MAX {
            return Err(Status::invalid_argument(format!(
                "the request names no type, or one of more than {TYPE_URL_LEN_MAX} bytes; set type_url"
            )));
        }
        let is_first = !self.types.contains(type_url);
        if is_first && self.types.len() >= TYPES_MAX {
            return Err(Status::resource_exhausted(format!(
                "the stream asked for {TYPES_MAX} types that are not served; subscribe to fewer"
            )));
        }
        if is_first {
            self.types.insert(type_url.to_owned());
        }
        // The delta protocol says of each name that it does not exist; the state of the world is empty, said once.
        let missing: Vec<Arc<str>> = match protocol {
            Protocol::Delta => asked.names.iter().map(|name| name.as_str().into()).collect(),
            Protocol::StateOfTheWorld => Vec::new(),
        };
        if is_first || !missing.is_empty() {
            self.answered += 1;
            let nonce = format!("none{:x}", self.answered);
            let response =
                Response { protocol, type_url, version: "", nonce: &nonce, resources: &[], removed: &missing };
            self.waiting.push_back(bodies.encode(&response).0);
        }
        Ok(())
    }

    /// Whether another request can be taken.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// The next answer.
    pub(super) fn next(&mut self) -> Option<Encoded> {
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use proto::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse};

    use super::*;

    fn asked(type_url: &str, names: &[&str]) -> Asked {
        let mut asked = Asked::default();
        asked.type_url = type_url.into();
        asked.names = names.iter().map(ToString::to_string).collect();
        asked
    }

    #[test]
    fn names_of_an_unserved_type_do_not_exist() {
        let (mut unserved, bodies) = (Unserved::default(), Bodies::default());
        unserved.receive(&asked("t", &["a", "b"]), Protocol::Delta, &bodies).unwrap();
        unserved.receive(&asked("t", &[]), Protocol::Delta, &bodies).unwrap();
        let read = DeltaDiscoveryResponse::decode(unserved.next().unwrap().head.slice(5..)).unwrap();
        assert_eq!(read.type_url, "t");
        assert_eq!(read.removed_resources, ["a", "b"]);
        assert!(unserved.next().is_none(), "an acknowledgement is not answered");
    }

    #[test]
    fn the_world_of_an_unserved_type_is_empty() {
        let (mut unserved, bodies) = (Unserved::default(), Bodies::default());
        for _ in 0..3 {
            unserved.receive(&asked("t", &["a"]), Protocol::StateOfTheWorld, &bodies).unwrap();
        }
        let read = DiscoveryResponse::decode(unserved.next().unwrap().head.slice(5..)).unwrap();
        assert!(read.resources.is_empty() && !read.nonce.is_empty());
        assert!(unserved.next().is_none());
    }

    #[test]
    fn a_stream_cannot_ask_for_any_number_of_types() {
        let (mut unserved, bodies) = (Unserved::default(), Bodies::default());
        assert!(unserved.receive(&asked("", &[]), Protocol::Delta, &bodies).is_err());
        for number in 0..TYPES_MAX {
            unserved.receive(&asked(&number.to_string(), &[]), Protocol::Delta, &bodies).unwrap();
        }
        assert!(unserved.receive(&asked("one more", &[]), Protocol::Delta, &bodies).is_err());
        assert!(!unserved.has_room());
    }
}
