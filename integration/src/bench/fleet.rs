//! Simulated proxies: each subscribes as Envoy does, acknowledges, and checks every resource against its version.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use proto::{
    ResourceType,
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
        },
    },
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use xxhash_rust::xxh3::xxh3_64;

/// Streams that are being opened at once: fewer than a listener's backlog would drop.
const OPENING_MAX: usize = 256;
/// Largest response that is read, in bytes.
const MESSAGE_LEN_MAX: usize = 256 << 20;

/// What a proxy holds: versions by type and name.
pub type Held = BTreeMap<ResourceType, BTreeMap<String, String>>;

/// One response that a proxy took in and acknowledged.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Which proxy.
    pub proxy: usize,
    /// Which type.
    pub kind: ResourceType,
    /// Resources in it.
    pub resources: usize,
    /// Names that it removed.
    pub removed: usize,
    /// Bytes of its resources.
    pub bytes: usize,
    /// The names of its resources, when there are few.
    pub names: Vec<Arc<str>>,
    /// When the acknowledgement was handed to the socket.
    pub at: Instant,
}

/// A fleet under way.
#[derive(Debug)]
pub struct Fleet {
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    stops: Vec<tokio::sync::watch::Sender<bool>>,
    proxies: JoinSet<Result<(usize, Held)>>,
}

/// Names are listed in an [`Arrival`] of at most this many resources.
const NAMES_MAX: usize = 64;

/// Whether proxies go on reading after their first response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// They do, with windows as wide as Envoy's.
    Always,
    /// They stop, and their windows are the narrowest that HTTP/2 begins with.
    Stops,
}

impl Reading {
    /// Bytes that the server may send ahead.
    fn window(self) -> u32 {
        match self {
            Self::Always => 16 << 20,
            Self::Stops => 65_535,
        }
    }
}

impl Fleet {
    /// Connects one proxy for each node id, each with its own connection. `resume` is what each held before.
    #[must_use]
    pub fn connect(address: &str, nodes: Vec<String>, resume: BTreeMap<usize, Held>) -> Self {
        Self::connect_reading(address, nodes, resume, Reading::Always)
    }

    /// The same, with proxies that may stop reading.
    #[must_use]
    pub fn connect_reading(
        address: &str,
        nodes: Vec<String>,
        mut resume: BTreeMap<usize, Held>,
        reading: Reading,
    ) -> Self {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let gate = Arc::new(tokio::sync::Semaphore::new(OPENING_MAX));
        let mut proxies = JoinSet::new();
        let mut stops = Vec::new();
        for (index, node_id) in nodes.into_iter().enumerate() {
            let (stop, stopped) = tokio::sync::watch::channel(false);
            stops.push(stop);
            let held = resume.remove(&index).unwrap_or_default();
            let proxy = Proxy { index, node_id, held, reading, arrivals: sender.clone() };
            proxies.spawn(proxy.run(address.to_owned(), Arc::clone(&gate), stopped));
        }
        Self { arrivals, stops, proxies }
    }

    /// The next response that any proxy took in.
    ///
    /// # Errors
    /// When a proxy failed, or none took anything in until `deadline`.
    pub async fn arrival(&mut self, deadline: Instant) -> Result<Arrival> {
        tokio::select! {
            arrival = self.arrivals.recv() => arrival.context("every proxy is gone"),
            failed = self.proxies.join_next(), if !self.proxies.is_empty() => match failed {
                Some(Ok(Err(error))) => Err(error),
                Some(Err(error)) => Err(error.into()),
                Some(Ok(Ok((index, _)))) => bail!("proxy {index} ended by itself"),
                None => bail!("every proxy is gone"),
            },
            () = tokio::time::sleep_until(deadline.into()) => bail!("nothing arrived in time"),
        }
    }

    /// All that arrives until nothing has for `quiet`.
    ///
    /// # Errors
    /// When a proxy failed.
    pub async fn settle(&mut self, quiet: Duration) -> Result<Vec<Arrival>> {
        let mut seen = Vec::new();
        loop {
            let Ok(arrival) = tokio::time::timeout(quiet, self.arrival(Instant::now() + quiet * 4)).await else {
                return Ok(seen);
            };
            seen.push(arrival?);
        }
    }

    /// Closes every stream and gives back what each proxy held.
    ///
    /// # Errors
    /// When a proxy failed.
    pub async fn stop(mut self) -> Result<BTreeMap<usize, Held>> {
        for stop in &self.stops {
            let _ = stop.send(true);
        }
        let mut all = BTreeMap::new();
        while let Some(ended) = self.proxies.join_next().await {
            let (index, held) = ended??;
            all.insert(index, held);
        }
        Ok(all)
    }
}

struct Proxy {
    index: usize,
    node_id: String,
    held: Held,
    reading: Reading,
    arrivals: mpsc::UnboundedSender<Arrival>,
}

impl Proxy {
    async fn run(
        mut self,
        address: String,
        gate: Arc<tokio::sync::Semaphore>,
        mut stopped: tokio::sync::watch::Receiver<bool>,
    ) -> Result<(usize, Held)> {
        let opening = gate.acquire_owned().await?;
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .initial_stream_window_size(self.reading.window())
            .initial_connection_window_size(self.reading.window())
            .connect()
            .await
            .with_context(|| format!("proxy {} cannot connect", self.index))?;
        let mut client = AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MESSAGE_LEN_MAX);
        let (sender, receiver) = mpsc::channel::<DeltaDiscoveryRequest>(64);
        for request in self.first_requests() {
            sender.send(request).await?;
        }
        let mut responses = client.delta_aggregated_resources(ReceiverStream::new(receiver)).await?.into_inner();
        drop(opening);
        loop {
            let response = tokio::select! {
                response = responses.message() => response.with_context(|| format!("stream of proxy {}", self.index))?,
                _ = stopped.changed() => return Ok((self.index, self.held)),
            };
            let Some(response) = response else { bail!("the server closed the stream of proxy {}", self.index) };
            let (arrival, requests) = self.take_in(response)?;
            for request in requests {
                sender.send(request).await.map_err(|_| anyhow!("proxy {} cannot send", self.index))?;
            }
            let _ = self.arrivals.send(Arrival { at: Instant::now(), ..arrival });
            if self.reading == Reading::Stops {
                let _ = stopped.changed().await;
                return Ok((self.index, self.held));
            }
        }
    }

    /// Envoy asks for clusters alone at first, and for all types at once when it comes back.
    fn first_requests(&self) -> Vec<DeltaDiscoveryRequest> {
        let node = Node { id: self.node_id.clone(), cluster: "bench".into(), ..Node::default() };
        let mut requests = Vec::new();
        for (kind, versions) in &self.held {
            let wildcard = matches!(kind, ResourceType::Cluster | ResourceType::Listener);
            requests.push(DeltaDiscoveryRequest {
                type_url: kind.type_url().to_owned(),
                initial_resource_versions: versions.clone().into_iter().collect(),
                resource_names_subscribe: if wildcard { Vec::new() } else { versions.keys().cloned().collect() },
                ..DeltaDiscoveryRequest::default()
            });
        }
        if requests.is_empty() {
            requests.push(request(ResourceType::Cluster));
        }
        if let Some(first) = requests.first_mut() {
            first.node = Some(node);
        }
        requests
    }

    fn take_in(&mut self, response: DeltaDiscoveryResponse) -> Result<(Arrival, Vec<DeltaDiscoveryRequest>)> {
        let kind = ResourceType::from_type_url(&response.type_url)
            .with_context(|| format!("a type nobody asked for: {}", response.type_url))?;
        let held = self.held.entry(kind).or_default();
        let mut bytes = 0;
        let mut fresh = Vec::new();
        let mut names = Vec::new();
        let resources = response.resources.len();
        for resource in response.resources {
            let any = resource.resource.with_context(|| format!("{} has no content", resource.name))?;
            bytes += any.value.len();
            // The version is the hash of the content: a resource that was damaged or mislabelled shows here.
            let hash = format!("{:016x}", xxh3_64(&any.value));
            if resource.version != hash {
                bail!(
                    "{} {} is version {} but its content is {hash}",
                    kind.short_name(),
                    resource.name,
                    resource.version
                );
            }
            if resources <= NAMES_MAX {
                names.push(Arc::from(resource.name.as_str()));
            }
            if held.insert(resource.name.clone(), resource.version).is_none() {
                fresh.push(resource.name);
            }
        }
        for name in &response.removed_resources {
            held.remove(name);
        }
        let ack = DeltaDiscoveryRequest { response_nonce: response.nonce, ..request(kind) };
        let mut requests = vec![ack];
        requests.extend(self.follow_up(kind, fresh));
        let removed = response.removed_resources.len();
        let arrival = Arrival { proxy: self.index, kind, resources, removed, bytes, names, at: Instant::now() };
        Ok((arrival, requests))
    }

    /// What Envoy asks for next: the endpoints of new clusters, listeners after the first endpoints, routes of new listeners.
    fn follow_up(&self, kind: ResourceType, fresh: Vec<String>) -> Vec<DeltaDiscoveryRequest> {
        let subscribe = |kind: ResourceType, names: Vec<String>| {
            let names = (!names.is_empty()).then_some(names)?;
            Some(DeltaDiscoveryRequest { resource_names_subscribe: names, ..request(kind) })
        };
        match kind {
            ResourceType::Cluster => {
                let eds = fresh.into_iter().filter(|name| name.starts_with("outbound|")).collect();
                subscribe(ResourceType::Endpoint, eds).into_iter().collect()
            }
            ResourceType::Endpoint if !self.held.contains_key(&ResourceType::Listener) => {
                vec![request(ResourceType::Listener)]
            }
            ResourceType::Listener => {
                let rds = fresh.iter().filter_map(|name| name.strip_prefix("0.0.0.0_")).map(str::to_owned).collect();
                subscribe(ResourceType::Route, rds).into_iter().collect()
            }
            ResourceType::Endpoint | ResourceType::Route | ResourceType::Secret | ResourceType::ExtensionConfig => {
                Vec::new()
            }
        }
    }
}

fn request(kind: ResourceType) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: kind.type_url().to_owned(), ..DeltaDiscoveryRequest::default() }
}
