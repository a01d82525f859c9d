//! The body of a gRPC response: what a stream hands over goes to HTTP/2 as it is, without a copy.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tonic::Status;

use super::response::Encoded;

/// Responses that wait between a stream and HTTP/2, which itself takes one more ahead of what the peer has room for.
const WAITING_MAX: usize = 1;

/// Time for which the end of a stream waits behind a response.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// What a stream hands over.
#[derive(Debug)]
enum Item {
    Response(Encoded),
    End(Status),
}

/// The stream's end of a body. Dropping it without [`Sink::end`] ends the stream as a failure of the server.
#[derive(Debug)]
pub(super) struct Sink(mpsc::Sender<Item>);

/// The place of one response in a body.
#[derive(Debug)]
pub(super) struct Place<'a>(mpsc::Permit<'a, Item>);

impl Sink {
    /// Waits until the body can take a response; `None` when the peer is gone. May be cancelled without loss.
    pub(super) async fn place(&self) -> Option<Place<'_>> {
        self.0.reserve().await.ok().map(Place)
    }

    /// Waits until the peer is gone.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }

    /// Ends the stream. A peer that does not take the word in time finds it broken off.
    pub(super) async fn end(self, status: Status) {
        let _ = tokio::time::timeout(END_TIMEOUT, self.0.send(Item::End(status))).await;
    }
}

impl Place<'_> {
    pub(super) fn fill(self, response: Encoded) {
        self.0.send(Item::Response(response));
    }
}

/// The body of one stream.
#[derive(Debug)]
pub(super) struct Outgoing {
    items: mpsc::Receiver<Item>,
    /// The second piece of the response whose head was taken last.
    rest: Bytes,
    ended: bool,
}

/// A body and the stream's end of it.
pub(super) fn channel() -> (Sink, Outgoing) {
    let (sender, items) = mpsc::channel(WAITING_MAX);
    (Sink(sender), Outgoing { items, rest: Bytes::new(), ended: false })
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let status = match self.items.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Item::Response(Encoded { head, body }))) => {
                self.rest = body;
                return Poll::Ready(Some(Ok(Frame::data(head))));
            }
            Poll::Ready(Some(Item::End(status))) => status,
            Poll::Ready(None) => Status::internal("the stream ended unexpectedly; connect again"),
        };
        self.ended = true;
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    if status.add_header(&mut trailers).is_err() {
        // The text cannot stand in a header; the code says enough.
        trailers.clear();
        let _ = Status::new(status.code(), "").add_header(&mut trailers);
    }
    trailers
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn encoded(head: &'static str, body: &'static str) -> Encoded {
        Encoded { head: Bytes::from_static(head.as_bytes()), body: Bytes::from_static(body.as_bytes()) }
    }

    #[tokio::test]
    async fn responses_go_out_in_pieces_and_in_order() {
        let (sink, mut body) = channel();
        sink.place().await.unwrap().fill(encoded("a", "b"));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "b");
        sink.place().await.unwrap().fill(encoded("c", ""));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "c");
        sink.end(Status::unavailable("over")).await;
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "14");
        assert_eq!(trailers["grpc-message"], "over");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_body_takes_no_more_than_it_can_hold() {
        let (sink, body) = channel();
        sink.place().await.unwrap().fill(encoded("a", ""));
        assert!(futures::FutureExt::now_or_never(sink.place()).is_none());
        drop(body);
        sink.gone().await;
        assert!(sink.place().await.is_none());
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_says_so() {
        let (sink, mut body) = channel();
        drop(sink);
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "13");
    }
}
