//! What happens to the objects of one resource: a list, then changes, for ever.
//!
//! A watch lasts [`WATCH_SECONDS`] and is then renewed from where it ended, so that one which has silently lost its
//! other side is noticed soon after. The API server sends a bookmark before it ends a watch, so that even a quiet
//! resource is never too far behind to be continued.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, stream::BoxStream};
use kube::{
    Api,
    runtime::{
        WatchStreamExt as _,
        watcher::{Config, Error, Event, ExponentialBackoff, watcher},
    },
};

use super::{
    arrived::{Arrived, Watched},
    pulse::Pulse,
};

/// How long a watch lasts. Silence of five seconds more means that nobody is at the other side.
const WATCH_SECONDS: u32 = 30;
/// How many streaming lists may break off before paged ones are tried, which need not be read whole within one watch.
const STREAMING_LISTS_MAX: u32 = 2;
/// Objects of one page.
const PAGE_LEN: u32 = 500;
/// Pauses after failures, with jitter.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Pause before a list that is asked for because the watch cannot be gone on with.
const LIST_PAUSE: Duration = Duration::from_millis(500);

/// The events of one resource.
pub(super) struct Events<K> {
    api: Api<Arrived<K>>,
    plural: &'static str,
    fields: Option<String>,
    pulse: Arc<Pulse>,
    list: List,
    /// The stream has brought a whole list.
    is_listed: bool,
    stream: Stream<K>,
}

type Stream<K> = BoxStream<'static, Result<Event<Arrived<K>>, Error>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    /// One stream brings the list and then the changes; `begun` of them did not come to the end of the list.
    Streaming { begun: u32 },
    /// Page by page, for API servers that cannot stream lists.
    Paged,
}

impl<K: Watched> Events<K> {
    /// Of the objects that the selector `fields` selects.
    pub(super) fn new(api: Api<Arrived<K>>, plural: &'static str, fields: Option<String>, pulse: Arc<Pulse>) -> Self {
        let list = List::Streaming { begun: 0 };
        let stream = stream(api.clone(), fields.clone(), list, Duration::ZERO);
        Self { api, plural, fields, pulse, list, is_listed: false, stream }
    }

    /// The next event. Whatever fails is tried again. May be cancelled without loss.
    pub(super) async fn next(&mut self) -> Event<Arrived<K>> {
        loop {
            match self.stream.next().await {
                Some(Ok(event)) => {
                    self.is_listed |= matches!(event, Event::InitDone);
                    if self.counts(&event) {
                        return event;
                    }
                    self.list_in_pages();
                }
                Some(Err(error)) if self.list != List::Paged && refuses_streaming(&error) => self.list_in_pages(),
                // Too far behind to be continued: a list follows, and nothing is wrong.
                Some(Err(Error::WatchError(status))) if status.code == 410 => {
                    tracing::info!(resource = self.plural, "the watch is too far behind, listing again");
                }
                Some(Err(error)) => {
                    self.pulse.failed(self.plural, &error);
                    if is_garbled(&error) || self.is_listed && was_away(&error) {
                        self.list_again();
                    }
                }
                // It goes on for ever.
                None => self.list_again(),
            }
        }
    }

    /// Whether the event can be passed on; `false` when streaming lists have broken off too often.
    fn counts(&mut self, event: &Event<Arrived<K>>) -> bool {
        match (event, &mut self.list) {
            (Event::Init, List::Streaming { begun }) => {
                *begun += 1;
                *begun <= STREAMING_LISTS_MAX
            }
            (Event::InitDone, List::Streaming { begun }) => {
                *begun = 0;
                true
            }
            (_, List::Streaming { .. } | List::Paged) => true,
        }
    }

    fn list_in_pages(&mut self) {
        tracing::info!(resource = self.plural, "the API server does not stream lists, asking for pages");
        self.list = List::Paged;
        self.list_again();
    }

    fn list_again(&mut self) {
        self.is_listed = false;
        self.stream = stream(self.api.clone(), self.fields.clone(), self.list, LIST_PAUSE);
    }
}

fn stream<K: Watched>(api: Api<Arrived<K>>, fields: Option<String>, list: List, pause: Duration) -> Stream<K> {
    let config = Config { field_selector: fields, ..Config::default().timeout(WATCH_SECONDS).page_size(PAGE_LEN) };
    let config = match list {
        List::Streaming { .. } => config.streaming_lists(),
        List::Paged => config,
    };
    let pauses = backon::ExponentialBuilder::default()
        .with_min_delay(PAUSE_MIN)
        .with_max_delay(PAUSE_MAX)
        .without_max_times()
        .with_jitter();
    let events = watcher(api, config).backoff(ExponentialBackoff::from(pauses));
    tokio::time::sleep(pause).map(|()| events).flatten_stream().boxed()
}

/// Whether nobody was there to begin a watch. What comes back may be restored from a backup: it takes a revision of its
/// future without a word, and then keeps silent about all that is older.
fn was_away(error: &Error) -> bool {
    match error {
        Error::WatchStartFailed(error) => !matches!(error, kube::Error::Api(_)),
        Error::InitialListFailed(_) | Error::WatchError(_) | Error::WatchFailed(_) | Error::NoResourceVersion => false,
    }
}

/// Whether something came that is no event. The watcher would go on with the next, and what this one said would be lost.
fn is_garbled(error: &Error) -> bool {
    matches!(error, Error::WatchFailed(kube::Error::SerdeError(_)))
}

/// Servers that know the option and have it switched off say that the request is not valid.
fn refuses_streaming(error: &Error) -> bool {
    match error {
        Error::WatchStartFailed(kube::Error::Api(status)) => matches!(status.code, 400 | 422),
        Error::WatchStartFailed(_)
        | Error::InitialListFailed(_)
        | Error::WatchError(_)
        | Error::WatchFailed(_)
        | Error::NoResourceVersion => false,
    }
}

#[cfg(test)]
mod tests;
