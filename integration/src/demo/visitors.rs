//! Gentle traffic of our own: visitors with several devices and names who look at the page.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    bookinfo::page::{NO_DETAILS, NO_RATINGS, NO_REVIEWS},
    client::{Answer, Call, Connection},
};

/// Visitors at one time: a page that takes two seconds still gets its visits.
const VISITORS: u32 = 8;

/// The device and the name of each visit, in turn.
const VISITS: [(&str, Option<&str>); 4] = [
    ("Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0", None),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1", Some("jason")),
    ("Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/128.0", Some("ana")),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) Safari/605.1", Some("iker")),
];

/// Visitors who come until this is dropped.
#[derive(Debug)]
pub struct Visitors {
    pages: Arc<Counts>,
    _coming: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Counts {
    whole: AtomicU64,
    with_gaps: AtomicU64,
    failed: AtomicU64,
}

/// The pages that visitors saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// With all that belongs there.
    pub whole: u64,
    /// With words in place of what a service did not give.
    pub with_gaps: u64,
    /// No page at all.
    pub failed: u64,
}

impl Visitors {
    /// Lets `per_second` visits come to the page at `door`.
    #[must_use]
    pub fn come(door: SocketAddr, per_second: u32) -> Self {
        let pages = Arc::<Counts>::default();
        let mut coming = JoinSet::new();
        if per_second > 0 {
            let period = Duration::from_secs(1) * VISITORS / per_second;
            for visitor in 0..VISITORS {
                let first = Instant::now() + period * visitor / VISITORS;
                coming.spawn(visit(visitor, door, first, period, Arc::clone(&pages)));
            }
        }
        Self { pages, _coming: coming }
    }

    /// The pages they saw up to now.
    #[must_use]
    pub fn pages(&self) -> Pages {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Pages {
            whole: load(&self.pages.whole),
            with_gaps: load(&self.pages.with_gaps),
            failed: load(&self.pages.failed),
        }
    }
}

async fn visit(visitor: u32, door: SocketAddr, first: Instant, period: Duration, pages: Arc<Counts>) {
    let mut connection = Connection::to(door);
    let mut ticks = tokio::time::interval_at(first, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let offset = usize::try_from(visitor).unwrap_or_default();
    for (device, name) in VISITS.into_iter().cycle().skip(offset) {
        ticks.tick().await;
        let mut call = Call::get(&door.to_string(), "/productpage").header("user-agent", device);
        if let Some(name) = name {
            call = call.header("cookie", &format!("user={name}"));
        }
        let counter = match connection.send(&call).await {
            Ok(answer) if answer.status.is_success() && has_gaps(&answer) => &pages.with_gaps,
            Ok(answer) if answer.status.is_success() => &pages.whole,
            Ok(_) | Err(_) => &pages.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a page says that a service did not answer.
#[must_use]
pub fn has_gaps(page: &Answer) -> bool {
    let text = page.text();
    [NO_DETAILS, NO_REVIEWS, NO_RATINGS].iter().any(|words| text.contains(words))
}
