//! One stream: a task that feeds the automaton with what comes, and hands over what it says is next.
//!
//! Nothing is drawn from the automaton before the one before it was handed over, so a slow proxy has at most one
//! response under way, skips the snapshots that it missed, and costs nobody anything.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::Body;
use mesh::{
    compile::viewpoint::ProxyDescription,
    push::{Automaton, Limits, Nonce, Protocol},
};
use proto::ResourceType;
use tonic::Status;

use super::{
    Service,
    listen::Connection,
    outgoing::Sink,
    proxies,
    request::{Asked, Messages},
    response::{Effort, Encoded, Response},
    unserved::Unserved,
};
use crate::dispatch::{Cause, Published, Subscription};

mod answers;

/// Time from the opening of a stream to its first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A proxy that comes back and says nothing more for so long has said all that it held. It says it in one breath.
const SILENCE: Duration = Duration::from_millis(200);
/// Responses of which the way to their answer is measured. Proxies that answer have far fewer under way.
const FLIGHTS_MAX: usize = 64;

/// A proxy and how far it is.
struct Stream<'a> {
    service: &'a Service,
    protocol: Protocol,
    entry: proxies::Entry,
    subscription: Subscription,
    automaton: Automaton,
    unserved: Unserved,
    flights: VecDeque<Flight>,
    /// The types of which the proxy refuses something.
    refusing: BTreeSet<ResourceType>,
    cause: Arc<Cause>,
    /// When what the stream is being brought to became known to it: the change, or its own beginning.
    since: Instant,
    progress: Progress,
    /// When the proxy last said something.
    heard: Instant,
}

/// How far a stream is on its way to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The proxy starts, and asks for one type after the other.
    Starting,
    /// A change is on its way to it.
    Following,
    /// It holds all that it can, for now.
    Settled,
}

/// A response that was not answered yet.
struct Flight {
    kind: ResourceType,
    nonce: u64,
    since: Instant,
}

/// A response that waits to be handed over.
struct Draft {
    encoded: Encoded,
    drawn: Instant,
}

/// Serves a stream to its end.
pub(super) async fn serve<B>(
    service: &Service,
    protocol: Protocol,
    peer: SocketAddr,
    mut messages: Messages<B>,
    sink: Sink,
    connection: &Connection,
) where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let mut shutdown = service.shutdown.clone();
    let end = tokio::select! {
        end = live(service, protocol, peer, &mut messages, &sink, connection) => end,
        () = shutdown.begun() => Status::unavailable("the control plane is ending; connect again"),
    };
    if end.code() != tonic::Code::Ok {
        tracing::debug!(%peer, code = ?end.code(), reason = end.message(), "stream ended");
    }
    sink.end(end).await;
}

async fn live<B>(
    service: &Service,
    protocol: Protocol,
    peer: SocketAddr,
    messages: &mut Messages<B>,
    sink: &Sink,
    connection: &Connection,
) -> Status
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let opened = tokio::select! {
        opened = Stream::open(service, protocol, peer, messages) => opened,
        () = sink.gone() => return gone(),
    };
    match opened {
        Ok(mut stream) => {
            let end = stream.run(messages, sink, connection).await.unwrap_or_else(|status| status);
            service.note_refusal(peer, stream.entry.name(), &end);
            end
        }
        Err(end) => {
            service.note_refusal(peer, "", &end);
            end
        }
    }
}

fn gone() -> Status {
    Status::cancelled("the proxy is gone")
}

impl<'a> Stream<'a> {
    /// Reads the first request, which says who the proxy is, and waits until there is something to serve.
    async fn open<B>(
        service: &'a Service,
        protocol: Protocol,
        peer: SocketAddr,
        messages: &mut Messages<B>,
    ) -> Result<Self, Status>
    where
        B: Body<Data = Bytes>,
        B::Error: std::fmt::Display,
    {
        let first = tokio::time::timeout(FIRST_REQUEST_TIMEOUT, messages.next_request(protocol)).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no request came; a stream begins with one"))?;
        let first = first.unwrap_or_else(|| Err(Status::invalid_argument("the stream ended without a request")));
        let mut first = first.map_err(|status| service.refuse_message(status))?;
        let node = first.node.take().unwrap_or_default();
        let proxy = ProxyDescription::of_node(&node.to_proto());
        let proxy = proxy.map_err(|error| {
            service.metrics.refused("node");
            Status::invalid_argument(error.to_string())
        })?;
        let now = (service.clock)();
        let entry = service.proxies.enter(&node, peer, protocol, now, |version| service.metrics.proxies(version));
        drop(node);
        let since = Instant::now();
        let ending = |_| Status::unavailable("the control plane is ending; connect again");
        let mut subscription = service.dispatch.subscribe(proxy).await.map_err(ending)?;
        let Published { snapshot, cause } = subscription.next().await.map_err(ending)?;
        tracing::info!(node = entry.node_id, %peer, ?protocol, stream = entry.stream, "proxy connected");
        entry.note(|state| {
            state.target = Some(Arc::clone(&snapshot));
            state.push = cause.number;
            state.newest = Some(subscription.newest());
        });
        let mut stream = Self {
            service,
            protocol,
            entry,
            subscription,
            automaton: Automaton::new(protocol, Limits::default(), snapshot),
            unserved: Unserved::default(),
            flights: VecDeque::new(),
            refusing: BTreeSet::new(),
            cause,
            since,
            progress: Progress::Starting,
            heard: since,
        };
        stream.receive(first)?;
        Ok(stream)
    }

    async fn run<B>(
        &mut self,
        messages: &mut Messages<B>,
        sink: &Sink,
        connection: &Connection,
    ) -> Result<Status, Status>
    where
        B: Body<Data = Bytes>,
        B::Error: std::fmt::Display,
    {
        let mut draft: Option<Draft> = None;
        loop {
            if draft.is_none() {
                draft = self.draw();
            }
            let deadline = draft.as_ref().map_or_else(Instant::now, |draft| draft.drawn + self.service.write_timeout);
            tokio::select! {
                biased;
                place = sink.place(), if draft.is_some() => {
                    let Some(place) = place else { return Err(gone()) };
                    if let Some(Draft { encoded, drawn }) = draft.take() {
                        place.fill(encoded);
                        self.service.metrics.pilot_xds_send_time.observe(drawn.elapsed().as_secs_f64());
                    }
                }
                // Before requests, so that they are answered from the newest snapshot.
                published = self.subscription.next(), if draft.is_none() => {
                    let ending = |_| Status::unavailable("the control plane is ending; connect again");
                    self.aim(published.map_err(ending)?);
                }
                request = messages.next_request(self.protocol), if self.unserved.has_room() => match request {
                    None => return Ok(Status::ok("")),
                    Some(request) => self.receive(request.map_err(|status| self.service.refuse_message(status))?)?,
                },
                () = sink.gone(), if draft.is_none() => return Err(gone()),
                () = tokio::time::sleep_until((self.heard + SILENCE).into()),
                    if draft.is_none() && self.automaton.is_listening() => self.automaton.hear_silence(),
                () = tokio::time::sleep_until(deadline.into()), if draft.is_some() => {
                    self.service.metrics.pilot_xds_write_timeout.inc();
                    tracing::warn!(proxy = self.entry.name(), "the proxy stopped reading; its connection is closed");
                    connection.abandon();
                    return Err(Status::deadline_exceeded("the proxy stopped reading"));
                }
            }
        }
    }

    /// The next response, drawn and encoded.
    fn draw(&mut self) -> Option<Draft> {
        let drawn = Instant::now();
        if let Some(encoded) = self.unserved.next() {
            return Some(Draft { encoded, drawn });
        }
        let Some(response) = self.automaton.next() else {
            self.settle();
            return None;
        };
        let kind = response.kind;
        let nonce = response.nonce.to_string();
        let (encoded, effort) = self.service.bodies.encode(&Response {
            protocol: self.protocol,
            type_url: kind.type_url(),
            version: &response.version,
            nonce: &nonce,
            resources: &response.resources,
            removed: &response.removed,
        });
        let metrics = &self.service.metrics;
        if effort == Effort::Encoded {
            metrics.body_encoded(kind.short_name());
        }
        metrics.sent(kind.short_name(), response.resources.len(), response.removed.len(), encoded.len());
        tracing::debug!(
            proxy = self.entry.name(),
            r#type = kind.short_name(),
            nonce,
            resources = response.resources.len(),
            removed = response.removed.len(),
            bytes = encoded.len(),
            push = self.cause.number,
            cause = self.cause.text,
            "push"
        );
        self.entry.note(|state| {
            state.settled = false;
            if let Some(of) = state.of_mut(kind) {
                of.nonce_sent = Some(nonce.into());
                of.version_sent = Some(response.version.into());
            }
        });
        if self.progress == Progress::Settled {
            // Not a change, since that was over, but something that the proxy asked for.
            self.progress = Progress::Starting;
        }
        self.fly(kind, response.nonce);
        Some(Draft { encoded, drawn })
    }

    fn fly(&mut self, kind: ResourceType, nonce: Nonce) {
        if self.flights.len() >= FLIGHTS_MAX {
            self.flights.pop_front();
        }
        self.flights.push_back(Flight { kind, nonce: nonce.count(), since: self.since });
    }

    /// Notes that nothing is to be sent, and nothing under way: the proxy holds all that it can.
    fn settle(&mut self) {
        if !self.flights.is_empty() || self.progress == Progress::Settled {
            return;
        }
        if self.progress == Progress::Following {
            self.service.metrics.pilot_proxy_convergence_time.observe(self.since.elapsed().as_secs_f64());
        }
        self.progress = Progress::Settled;
        let target = self.automaton.target();
        let refused = if self.refusing.is_empty() { Vec::new() } else { self.standing_refusals() };
        self.entry.settle(proxies::Held { snapshot: Arc::clone(target), refused });
    }

    fn aim(&mut self, published: Published) {
        let Published { snapshot, cause } = published;
        self.entry.note(|state| {
            state.target = Some(Arc::clone(&snapshot));
            state.push = cause.number;
            state.settled = false;
        });
        self.since = cause.received;
        self.cause = cause;
        self.progress = Progress::Following;
        self.automaton.aim(snapshot);
    }

    fn receive(&mut self, asked: Asked) -> Result<(), Status> {
        self.heard = Instant::now();
        let Some(kind) = ResourceType::from_type_url(&asked.type_url) else {
            self.service.metrics.unserved_type();
            return self.unserved.receive(&asked, self.protocol, &self.service.bodies);
        };
        let request = asked.into_request(self.protocol, kind);
        let received = self.automaton.receive(request).map_err(|refusal| {
            self.service.metrics.refused("limit");
            Status::resource_exhausted(refusal.to_string())
        })?;
        self.entry.note(|state| state.ask(kind));
        self.note(received);
        Ok(())
    }
}
