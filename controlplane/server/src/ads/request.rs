//! Requests as they come: gRPC messages out of an HTTP/2 body, decoded into no more than what is used of them.

use std::{collections::BTreeMap, pin::Pin};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;
use mesh::push::{Protocol, Request};
use prost::Message;
use proto::{ResourceType, google::protobuf::Struct};
use tonic::Status;

/// Longest request. A proxy that reconnects lists the version of everything it holds: about 100 bytes for each resource.
pub const REQUEST_LEN_MAX: usize = 16 << 20;

/// A byte for compression and four for the length.
const PREFIX_LEN: usize = 5;

/// The messages of one request body.
///
/// Its own reader, because tonic's keeps the buffer of the longest message: the first one of an Envoy has 60 kB, of
/// which nothing is needed later, and there are thousands of streams.
#[derive(Debug)]
pub(super) struct Messages<B> {
    body: Pin<Box<B>>,
    buffer: BytesMut,
}

impl<B> Messages<B>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    pub(super) fn new(body: B) -> Self {
        Self { body: Box::pin(body), buffer: BytesMut::new() }
    }

    /// The next message; `None` when the peer has said its last one. May be cancelled without loss.
    pub(super) async fn next<M: Message + Default>(&mut self) -> Option<Result<M, Status>> {
        loop {
            match self.take() {
                Ok(None) => {}
                Ok(Some(message)) => {
                    let decoded = M::decode(message);
                    return Some(
                        decoded.map_err(|error| Status::invalid_argument(format!("malformed request: {error}"))),
                    );
                }
                Err(status) => return Some(Err(status)),
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Some(Err(Status::cancelled(error.to_string()))),
                None if self.buffer.is_empty() => return None,
                None => return Some(Err(Status::invalid_argument("the request ends in the middle of a message"))),
            }
        }
    }

    /// The next request of a protocol. May be cancelled without loss.
    pub(super) async fn next_request(&mut self, protocol: Protocol) -> Option<Result<Asked, Status>> {
        match protocol {
            Protocol::Delta => self.next::<DeltaRequest>().await.map(|request| request.map(Asked::from)),
            Protocol::StateOfTheWorld => self.next::<SotwRequest>().await.map(|request| request.map(Asked::from)),
        }
    }

    /// A whole message, once the buffer holds one.
    fn take(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((prefix, _)) = self.buffer.split_first_chunk::<PREFIX_LEN>() else { return Ok(None) };
        let [compressed, length @ ..] = *prefix;
        if compressed != 0 {
            return Err(Status::unimplemented(
                "compressed requests are not taken; send them with grpc-encoding identity",
            ));
        }
        let len = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if len > REQUEST_LEN_MAX {
            return Err(Status::resource_exhausted(format!(
                "the request has {len} bytes, at most {REQUEST_LEN_MAX} are taken"
            )));
        }
        if self.buffer.len() < PREFIX_LEN + len {
            return Ok(None);
        }
        self.buffer.advance(PREFIX_LEN);
        let message = self.buffer.split_to(len).freeze();
        if self.buffer.is_empty() {
            // Lets the memory go with the message.
            self.buffer = BytesMut::new();
        }
        Ok(Some(message))
    }
}

/// A request of either protocol.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) node: Option<Node>,
    pub(super) type_url: String,
    /// Names to subscribe to; in the state of the world all that are wanted.
    pub(super) names: Vec<String>,
    unsubscribe: Vec<String>,
    initial_versions: BTreeMap<String, String>,
    version: String,
    nonce: String,
    error: Option<String>,
}

impl Asked {
    /// The request as the automaton takes it.
    pub(super) fn into_request(self, protocol: Protocol, kind: ResourceType) -> Request {
        let Self { node: _, type_url: _, names, unsubscribe, initial_versions, version, nonce, error } = self;
        match protocol {
            Protocol::Delta => Request::Delta { kind, subscribe: names, unsubscribe, initial_versions, nonce, error },
            Protocol::StateOfTheWorld => Request::Sotw { kind, names, version, nonce, error },
        }
    }
}

impl From<DeltaRequest> for Asked {
    fn from(request: DeltaRequest) -> Self {
        let DeltaRequest { node, type_url, subscribe, unsubscribe, initial_versions, nonce, error } = request;
        let error = error.map(|error| error.message);
        Self { node, type_url, names: subscribe, unsubscribe, initial_versions, version: String::new(), nonce, error }
    }
}

impl From<SotwRequest> for Asked {
    fn from(request: SotwRequest) -> Self {
        let SotwRequest { version, node, names, type_url, nonce, error } = request;
        let error = error.map(|error| error.message);
        Self { node, type_url, names, version, nonce, error, ..Self::default() }
    }
}

/// `envoy.service.discovery.v3.DeltaDiscoveryRequest`, as far as it is used.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DeltaRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) node: Option<Node>,
    #[prost(string, tag = "2")]
    pub(super) type_url: String,
    #[prost(string, repeated, tag = "3")]
    pub(super) subscribe: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(super) unsubscribe: Vec<String>,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(super) initial_versions: BTreeMap<String, String>,
    #[prost(string, tag = "6")]
    pub(super) nonce: String,
    #[prost(message, optional, tag = "7")]
    pub(super) error: Option<ErrorDetail>,
}

/// `envoy.service.discovery.v3.DiscoveryRequest`, as far as it is used.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SotwRequest {
    #[prost(string, tag = "1")]
    pub(super) version: String,
    #[prost(message, optional, tag = "2")]
    pub(super) node: Option<Node>,
    #[prost(string, repeated, tag = "3")]
    pub(super) names: Vec<String>,
    #[prost(string, tag = "4")]
    pub(super) type_url: String,
    #[prost(string, tag = "5")]
    pub(super) nonce: String,
    #[prost(message, optional, tag = "6")]
    pub(super) error: Option<ErrorDetail>,
}

/// `google.rpc.Status` without its details.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ErrorDetail {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

/// `envoy.config.core.v3.Node` without its list of extensions, which is nine tenths of it and is skipped, not decoded.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// The node id in four parts.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The name of the group of proxies.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// What the proxy says of itself.
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<Struct>,
    /// Where it runs.
    #[prost(message, optional, tag = "4")]
    pub locality: Option<NodeLocality>,
    /// The program: `envoy`, `gRPC C-core linux Python`.
    #[prost(string, tag = "6")]
    pub user_agent_name: String,
}

impl Node {
    /// The node as the rest of the mesh knows it.
    pub(super) fn to_proto(&self) -> proto::envoy::config::core::v3::Node {
        proto::envoy::config::core::v3::Node {
            id: self.id.clone(),
            cluster: self.cluster.clone(),
            metadata: self.metadata.clone(),
            locality: self.locality.as_ref().map(|of| proto::envoy::config::core::v3::Locality {
                region: of.region.clone(),
                zone: of.zone.clone(),
                sub_zone: of.sub_zone.clone(),
            }),
            ..Default::default()
        }
    }
}

/// `envoy.config.core.v3.Locality`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NodeLocality {
    /// The region.
    #[prost(string, tag = "1")]
    pub region: String,
    /// The zone.
    #[prost(string, tag = "2")]
    pub zone: String,
    /// The part of the zone.
    #[prost(string, tag = "3")]
    pub sub_zone: String,
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use proto::envoy::service::discovery::v3 as wire;
    use tonic::Code;

    use super::*;

    fn framed(message: &impl Message) -> Vec<u8> {
        let encoded = message.encode_to_vec();
        let mut bytes = vec![0];
        bytes.extend(u32::try_from(encoded.len()).unwrap().to_be_bytes());
        bytes.extend(encoded);
        bytes
    }

    fn messages(chunks: Vec<Vec<u8>>) -> Messages<impl Body<Data = Bytes, Error = Infallible>> {
        let frames = chunks.into_iter().map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from(chunk))));
        Messages::new(StreamBody::new(stream::iter(frames)))
    }

    fn request() -> wire::DeltaDiscoveryRequest {
        wire::DeltaDiscoveryRequest {
            node: Some(proto::envoy::config::core::v3::Node {
                id: "web".into(),
                extensions: vec![Default::default(); 500],
                ..Default::default()
            }),
            type_url: "t".into(),
            resource_names_subscribe: vec!["a".into()],
            initial_resource_versions: [("a".to_owned(), "1".to_owned())].into(),
            response_nonce: "n".into(),
            error_detail: Some(proto::google::rpc::Status { code: 3, message: "bad".into(), details: vec![] }),
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn messages_are_found_however_the_body_is_cut() {
        let bytes = [framed(&request()), framed(&request())].concat();
        for len in [1, 4, 7, 100, bytes.len()] {
            let mut messages = messages(bytes.chunks(len).map(<[u8]>::to_vec).collect());
            for _ in 0..2 {
                let read: DeltaRequest = messages.next().await.unwrap().unwrap();
                assert_eq!(read.node.unwrap().id, "web");
                assert_eq!(read.subscribe, ["a"]);
                assert_eq!(read.initial_versions["a"], "1");
                assert_eq!((read.type_url.as_str(), read.nonce.as_str()), ("t", "n"));
                assert_eq!(read.error.unwrap().message, "bad");
            }
            assert!(messages.next::<DeltaRequest>().await.is_none());
            assert_eq!(messages.buffer.capacity(), 0);
        }
    }

    #[tokio::test]
    async fn a_state_of_the_world_request_has_its_own_numbers() {
        let request = wire::DiscoveryRequest {
            version_info: "v".into(),
            resource_names: vec!["a".into()],
            type_url: "t".into(),
            response_nonce: "n".into(),
            ..Default::default()
        };
        let read: SotwRequest = messages(vec![framed(&request)]).next().await.unwrap().unwrap();
        assert_eq!((read.version.as_str(), read.type_url.as_str(), read.nonce.as_str()), ("v", "t", "n"));
        assert_eq!(read.names, ["a"]);
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_stream_with_a_status() {
        let long = u32::try_from(REQUEST_LEN_MAX + 1).unwrap().to_be_bytes();
        for (bytes, code) in [
            (vec![0, 0, 0, 0, 1, 0xff], Code::InvalidArgument),
            (vec![1, 0, 0, 0, 0], Code::Unimplemented),
            ([&[0][..], &long].concat(), Code::ResourceExhausted),
            (vec![0, 0, 0, 0, 9, 1], Code::InvalidArgument),
        ] {
            let status = messages(vec![bytes]).next::<DeltaRequest>().await.unwrap().unwrap_err();
            assert_eq!(status.code(), code, "{status}");
        }
    }
}
