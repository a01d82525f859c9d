//! A proxy that does what a test says, in either protocol, over a real connection.

use std::{collections::BTreeMap, net::SocketAddr};

use prost::Message as _;
use proto::{
    ResourceType,
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
        },
    },
    google::rpc,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::house::{House, PATIENCE};

/// A type that is not served: the answer to a request for it shows that nothing else was under way.
const FENCE: &str = "type.googleapis.com/test.Fence";

/// The node id of a pod of namespace `shop`.
pub(crate) fn node_id(pod: &str) -> String {
    format!("sidecar~10.1.0.1~{pod}.shop~shop.svc.cluster.local")
}

fn node(pod: &str) -> Node {
    // As much as a real Envoy sends, nearly all of it extensions.
    let extension = proto::envoy::config::core::v3::Extension {
        name: "envoy.filters.http.something".into(),
        category: "envoy.filters.http".into(),
        type_urls: vec!["envoy.extensions.filters.http.something.v3.Something".into()],
        ..Default::default()
    };
    Node { id: node_id(pod), cluster: pod.into(), extensions: vec![extension; 500], ..Default::default() }
}

/// Opens a connection.
pub(crate) async fn connect(address: SocketAddr, window: Option<u32>) -> AggregatedDiscoveryServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let endpoint = match window {
        Some(window) => endpoint.initial_stream_window_size(window).initial_connection_window_size(window),
        None => endpoint,
    };
    let channel = endpoint.connect().await.unwrap();
    AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(64 << 20)
}

/// A proxy that speaks the incremental protocol.
pub(crate) struct Delta {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    node: Option<Node>,
    fences: u32,
}

impl Delta {
    pub(crate) async fn connect(house: &House, pod: &str) -> Self {
        Self::open(house.address, pod, None).await
    }

    /// A proxy that takes no more than `window` bytes ahead of what it reads.
    pub(crate) async fn open(address: SocketAddr, pod: &str, window: Option<u32>) -> Self {
        let mut client = connect(address, window).await;
        let (requests, receiver) = mpsc::channel(16);
        let responses = client.delta_aggregated_resources(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests, responses, node: Some(node(pod)), fences: 0 }
    }

    pub(crate) async fn send(&mut self, mut request: DeltaDiscoveryRequest) {
        request.node = self.node.take();
        self.requests.send(request).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, kind: ResourceType, names: &[&str]) {
        self.send(DeltaDiscoveryRequest {
            type_url: kind.type_url().into(),
            resource_names_subscribe: names.iter().map(ToString::to_string).collect(),
            ..Default::default()
        })
        .await;
    }

    pub(crate) async fn unsubscribe(&mut self, kind: ResourceType, names: &[&str]) {
        self.send(DeltaDiscoveryRequest {
            type_url: kind.type_url().into(),
            resource_names_unsubscribe: names.iter().map(ToString::to_string).collect(),
            ..Default::default()
        })
        .await;
    }

    /// Comes back with what it held.
    pub(crate) async fn resume(&mut self, kind: ResourceType, names: &[&str], held: &BTreeMap<String, String>) {
        self.send(DeltaDiscoveryRequest {
            type_url: kind.type_url().into(),
            resource_names_subscribe: names.iter().map(ToString::to_string).collect(),
            initial_resource_versions: held.clone(),
            ..Default::default()
        })
        .await;
    }

    pub(crate) async fn ack(&mut self, response: &DeltaDiscoveryResponse) {
        self.answer(response, None).await;
    }

    pub(crate) async fn nack(&mut self, response: &DeltaDiscoveryResponse, error: &str) {
        self.answer(response, Some(error)).await;
    }

    async fn answer(&mut self, response: &DeltaDiscoveryResponse, error: Option<&str>) {
        self.send(DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail: error.map(|message| rpc::Status { code: 3, message: message.into(), details: Vec::new() }),
            ..Default::default()
        })
        .await;
    }

    /// The next response.
    pub(crate) async fn next(&mut self) -> DeltaDiscoveryResponse {
        self.try_next().await.unwrap()
    }

    /// The next response, which must be of this type; it is acknowledged.
    pub(crate) async fn take(&mut self, kind: ResourceType) -> DeltaDiscoveryResponse {
        let response = self.next().await;
        assert_eq!(response.type_url, kind.type_url(), "{:?}", names(&response));
        self.ack(&response).await;
        response
    }

    pub(crate) async fn try_next(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        let next = tokio::time::timeout(PATIENCE, self.responses.message()).await.expect("no response in time");
        next.map(|response| response.expect("the stream ended without a status"))
    }

    /// Asserts that nothing was sent, nor will be for what happened so far.
    pub(crate) async fn expect_silence(&mut self) {
        self.fences += 1;
        let type_url = format!("{FENCE}{}", self.fences);
        self.send(DeltaDiscoveryRequest { type_url: type_url.clone(), ..Default::default() }).await;
        let response = self.next().await;
        assert_eq!(
            response.type_url,
            type_url,
            "not silence but {:?} {:?}",
            names(&response),
            response.removed_resources
        );
        self.ack(&response).await;
    }
}

/// The names of the resources of a response.
pub(crate) fn names(response: &DeltaDiscoveryResponse) -> Vec<&str> {
    response.resources.iter().map(|resource| resource.name.as_str()).collect()
}

/// Names and versions of the resources of a response: what a proxy says that it holds when it comes back.
pub(crate) fn held(response: &DeltaDiscoveryResponse) -> BTreeMap<String, String> {
    response.resources.iter().map(|resource| (resource.name.clone(), resource.version.clone())).collect()
}

/// A proxy that speaks the state-of-the-world protocol.
pub(crate) struct Sotw {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
    node: Option<Node>,
    fences: u32,
}

impl Sotw {
    pub(crate) async fn connect(house: &House, pod: &str) -> Self {
        let mut client = connect(house.address, None).await;
        let (requests, receiver) = mpsc::channel(16);
        let responses = client.stream_aggregated_resources(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests, responses, node: Some(node(pod)), fences: 0 }
    }

    pub(crate) async fn send(&mut self, mut request: DiscoveryRequest) {
        request.node = self.node.take();
        self.requests.send(request).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, kind: ResourceType, names: &[&str]) {
        self.send(DiscoveryRequest {
            type_url: kind.type_url().into(),
            resource_names: names.iter().map(ToString::to_string).collect(),
            ..Default::default()
        })
        .await;
    }

    /// Answers a response; `names` are all that it wants from now on.
    pub(crate) async fn ack(&mut self, response: &DiscoveryResponse, names: &[&str]) {
        self.send(DiscoveryRequest {
            type_url: response.type_url.clone(),
            version_info: response.version_info.clone(),
            response_nonce: response.nonce.clone(),
            resource_names: names.iter().map(ToString::to_string).collect(),
            ..Default::default()
        })
        .await;
    }

    pub(crate) async fn nack(&mut self, response: &DiscoveryResponse, held_version: &str, error: &str) {
        self.send(DiscoveryRequest {
            type_url: response.type_url.clone(),
            version_info: held_version.into(),
            response_nonce: response.nonce.clone(),
            error_detail: Some(rpc::Status { code: 3, message: error.into(), details: Vec::new() }),
            ..Default::default()
        })
        .await;
    }

    /// The next response, which must be of this type.
    pub(crate) async fn next(&mut self, kind: ResourceType) -> DiscoveryResponse {
        let next = tokio::time::timeout(PATIENCE, self.responses.message()).await.expect("no response in time");
        let response = next.unwrap().expect("the stream ended without a status");
        assert_eq!(response.type_url, kind.type_url());
        response
    }

    /// Asserts that nothing was sent, nor will be for what happened so far.
    pub(crate) async fn expect_silence(&mut self) {
        self.fences += 1;
        let type_url = format!("{FENCE}{}", self.fences);
        self.send(DiscoveryRequest { type_url: type_url.clone(), ..Default::default() }).await;
        let next = tokio::time::timeout(PATIENCE, self.responses.message()).await.expect("no response in time");
        let response = next.unwrap().unwrap();
        assert_eq!(response.type_url, type_url, "not silence but {} resources", response.resources.len());
        self.ack(&response, &[]).await;
    }
}

/// The names of the clusters, or the endpoints, of a response.
pub(crate) fn sotw_names(response: &DiscoveryResponse) -> Vec<String> {
    use proto::envoy::config::{cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment};
    let name = |any: &proto::google::protobuf::Any| match ResourceType::from_type_url(&any.type_url) {
        Some(ResourceType::Cluster) => Cluster::decode(any.value.clone()).unwrap().name,
        Some(ResourceType::Endpoint) => ClusterLoadAssignment::decode(any.value.clone()).unwrap().cluster_name,
        other => panic!("{other:?} has no name here"),
    };
    response.resources.iter().map(name).collect()
}
