//! The one owner of store and snapshots: takes changes in, and publishes to each proxy what differs for it.
//!
//! It lives on a thread of its own, so that compiling never keeps the network waiting. While it compiles, changes gather
//! in its inbox and are then taken as one; nothing else is ever waited for.

mod cause;
mod desk;

pub use cause::Cause;

use std::{
    io,
    sync::{Arc, Weak},
    thread,
    time::Instant,
};

use mesh::{
    compile::viewpoint::ProxyDescription,
    model::Change,
    snapshot::{Counters, Snapshot},
    store::Mesh,
};
use tokio::sync::{mpsc, watch};

use self::desk::Desk;
use crate::metrics::Metrics;

/// Messages that wait for the owner. A sender that finds it full waits, so that nothing is lost.
const INBOX_MAX: usize = 1024;

/// What a proxy is to hold from now on.
#[derive(Debug, Clone)]
pub struct Published {
    /// All of it.
    pub snapshot: Arc<Snapshot>,
    /// What led to it.
    pub cause: Arc<Cause>,
}

/// The mesh as it stands, for those who only look.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The mesh; empty before the source was read whole.
    pub mesh: Mesh,
    /// How often it changed.
    pub revision: u64,
    /// Whether the source was read whole.
    pub ready: bool,
    /// How many viewpoints are in use.
    pub viewpoints: usize,
    /// How often something was published.
    pub pushes: u64,
    /// What was compiled and encoded so far.
    pub counters: Counters,
}

/// The owner is gone, and with it the process is about to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the control plane is ending; connect again")]
pub struct Gone;

/// The way to the owner.
#[derive(Debug, Clone)]
pub struct Handle {
    inbox: mpsc::Sender<Message>,
    view: watch::Receiver<View>,
}

/// What one proxy is to hold, kept up to date. `None` before the source was read whole.
///
/// A stream that does not look for a while finds the newest snapshot and has lost nothing. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    // Dropped before `_leave`, so that the owner finds it closed.
    feed: watch::Receiver<Option<Published>>,
    newest: Newest,
    _leave: Leave,
}

/// What was published to a proxy last, whether its stream has taken it or not.
#[derive(Debug, Clone)]
pub struct Newest(Weak<Feed>);

impl Newest {
    /// The snapshot; `None` before the first one, and when the subscription is over.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let feed = self.0.upgrade()?;
        let published = feed.borrow();
        published.as_ref().map(|published| Arc::clone(&published.snapshot))
    }
}

/// Where a proxy is published to.
type Feed = watch::Sender<Option<Published>>;

/// Tells the owner to look who is gone. If its inbox is full it will look anyway.
#[derive(Debug)]
struct Leave(mpsc::WeakSender<Message>);

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(inbox) = self.0.upgrade() {
            let _ = inbox.try_send(Message::Left);
        }
    }
}

#[derive(Debug)]
enum Message {
    Changes { changes: Vec<Change>, received: Instant },
    Subscribe { proxy: Box<ProxyDescription>, feed: Arc<Feed> },
    Left,
}

/// Starts the owner. It ends when every handle is gone.
///
/// # Errors
/// When the operating system refuses the thread.
pub fn start(metrics: Arc<Metrics>) -> io::Result<Handle> {
    let (inbox, messages) = mpsc::channel(INBOX_MAX);
    let (viewer, view) = watch::channel(View::default());
    let desk = Desk::new(metrics, viewer);
    thread::Builder::new().name("dispatch".into()).spawn(move || run(desk, messages))?;
    Ok(Handle { inbox, view })
}

impl Handle {
    /// Hands changes over, as one. The first call makes the mesh complete, be it empty: from then on proxies are served.
    ///
    /// # Errors
    /// When the owner is gone.
    pub async fn apply(&self, changes: Vec<Change>, received: Instant) -> Result<(), Gone> {
        self.inbox.send(Message::Changes { changes, received }).await.map_err(|_| Gone)
    }

    /// Subscribes a proxy.
    ///
    /// # Errors
    /// When the owner is gone.
    pub async fn subscribe(&self, proxy: ProxyDescription) -> Result<Subscription, Gone> {
        let (sender, feed) = watch::channel(None);
        let sender = Arc::new(sender);
        let newest = Newest(Arc::downgrade(&sender));
        let message = Message::Subscribe { proxy: Box::new(proxy), feed: sender };
        self.inbox.send(message).await.map_err(|_| Gone)?;
        Ok(Subscription { feed, newest, _leave: Leave(self.inbox.downgrade()) })
    }

    /// The mesh as it stands.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Waits until something was published after the last call. Used by those who show the mesh.
    ///
    /// # Errors
    /// When the owner is gone.
    pub async fn changed(&mut self) -> Result<(), Gone> {
        self.view.changed().await.map_err(|_| Gone)
    }

    /// Waits until the owner is gone.
    pub async fn gone(&self) {
        self.inbox.closed().await;
    }
}

impl Subscription {
    /// A view of what is published to it.
    #[must_use]
    pub fn newest(&self) -> Newest {
        self.newest.clone()
    }

    /// Waits for something newer than what was taken last, and takes it. May be cancelled without loss.
    ///
    /// # Errors
    /// When the owner is gone.
    pub async fn next(&mut self) -> Result<Published, Gone> {
        loop {
            self.feed.changed().await.map_err(|_| Gone)?;
            if let Some(published) = self.feed.borrow_and_update().clone() {
                return Ok(published);
            }
        }
    }
}

/// What gathered in the inbox, to be taken as one.
#[derive(Debug, Default)]
struct Batch {
    changes: Vec<Change>,
    /// When the earliest of them arrived.
    received: Option<Instant>,
    newcomers: Vec<(Box<ProxyDescription>, Arc<Feed>)>,
}

impl Batch {
    fn add(&mut self, message: Message) {
        match message {
            Message::Changes { changes, received } => {
                self.received = Some(self.received.map_or(received, |earlier| earlier.min(received)));
                self.changes.extend(changes);
            }
            Message::Subscribe { proxy, feed } => self.newcomers.push((proxy, feed)),
            Message::Left => {}
        }
    }
}

fn run(mut desk: Desk, mut messages: mpsc::Receiver<Message>) {
    while let Some(first) = messages.blocking_recv() {
        let mut batch = Batch::default();
        batch.add(first);
        for _ in 1..INBOX_MAX {
            let Ok(message) = messages.try_recv() else { break };
            batch.add(message);
        }
        if let Some(received) = batch.received {
            desk.apply(batch.changes, received);
        }
        for (proxy, feed) in batch.newcomers {
            desk.subscribe(*proxy, feed);
        }
        desk.tidy();
    }
}
