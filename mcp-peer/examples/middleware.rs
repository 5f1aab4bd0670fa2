//! A middleware: a transport around a transport that counts what passes, holds up what comes in, and loses some of what goes out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Sink, Stream};
use mcp_peer::types::{Inbound, Message, Outbound};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

/// What has passed.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) received: AtomicUsize,
    pub(crate) sent: AtomicUsize,
    pub(crate) lost: AtomicUsize,
}

pin_project! {
    /// A bad line: whatever comes in is `delay` late, and what `loses` says is lost on the way out.
    ///
    /// Items pass in their order, and everything that has come is passed on before the end is.
    pub(crate) struct BadLine<T, E, F> {
        #[pin]
        transport: T,
        #[pin]
        sleep: Sleep,
        delay: Duration,
        late: VecDeque<(Instant, Result<Inbound, E>)>,
        ended: bool,
        loses: F,
        counts: Arc<Counts>,
    }
}

pub(crate) fn bad_line<T, E, F>(
    transport: T,
    delay: Duration,
    loses: F,
) -> (BadLine<T, E, F>, Arc<Counts>)
where
    T: Stream<Item = Result<Inbound, E>>,
    F: FnMut(&Message) -> bool,
{
    let counts = Arc::new(Counts::default());
    let line = BadLine {
        transport,
        sleep: tokio::time::sleep(Duration::ZERO),
        delay,
        late: VecDeque::new(),
        ended: false,
        loses,
        counts: Arc::clone(&counts),
    };
    (line, counts)
}

/// What may be held up at a time; while there is so much, nothing more is taken, so that memory stays bounded.
const LATE: usize = 1024;

impl<T, E, F> Stream for BadLine<T, E, F>
where
    T: Stream<Item = Result<Inbound, E>>,
{
    type Item = Result<Inbound, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        while !*this.ended && this.late.len() < LATE {
            match this.transport.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    this.counts.received.fetch_add(1, Ordering::Relaxed);
                    this.late.push_back((Instant::now() + *this.delay, item));
                }
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => break,
            }
        }
        let Some((due, _)) = this.late.front() else {
            return if *this.ended {
                Poll::Ready(None)
            } else {
                Poll::Pending
            };
        };
        if this.sleep.deadline() != *due {
            this.sleep.as_mut().reset(*due);
        }
        ready!(this.sleep.poll(cx));
        Poll::Ready(this.late.pop_front().map(|(_, item)| item))
    }
}

impl<T, E, F> Sink<Outbound> for BadLine<T, E, F>
where
    T: Sink<Outbound>,
    F: FnMut(&Message) -> bool,
{
    type Error = T::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.project().transport.poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, item: Outbound) -> Result<(), T::Error> {
        let this = self.project();
        if (this.loses)(&item.message) {
            this.counts.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        this.counts.sent.fetch_add(1, Ordering::Relaxed);
        this.transport.start_send(item)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.project().transport.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.project().transport.poll_close(cx)
    }
}

// ---- a client on such a line: what is lost times out, the rest is only late ----

use mcp_peer::session::{CallOptions, ClientConfig, RequestError, ServerConfig};
use mcp_peer::types::{Implementation, ObjectBuf};
use mcp_peer::{NoHandler, Options, Peer, duplex};

/// What a call came to, and how long it took.
pub(crate) type Called = (Option<RequestError>, Duration);

async fn call(peer: &Peer, method: &'static str) -> Called {
    let start = Instant::now();
    let mut options = CallOptions::default();
    options.timeout = Some(Duration::from_secs(2));
    let outcome = peer
        .request_raw(method.into(), ObjectBuf::new(), options, |_| ())
        .await;
    (outcome.err(), start.elapsed())
}

pub(crate) async fn run() -> Result<([Called; 2], Arc<Counts>), Box<dyn std::error::Error>> {
    let (left, right) = duplex(16);
    let info = Implementation::new("example", "1");
    let (config, handler) = (ServerConfig::new(info.clone()), Arc::new(NoHandler));
    let server = mcp_peer::server(right, config, handler, Options::default());
    tokio::spawn(server.driver);

    let loses = |message: &Message| message.method() == Some("x/lost");
    let (line, counts) = bad_line(left, Duration::from_millis(100), loses);
    let (config, handler) = (ClientConfig::new(info), Arc::new(NoHandler));
    let client = mcp_peer::client(line, config, handler, Options::default());
    tokio::spawn(client.driver);
    client.peer.opened().await?;
    let late = call(&client.peer, "x/late").await;
    let lost = call(&client.peer, "x/lost").await;
    Ok(([late, lost], counts))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (called, counts) = run().await?;
    for (outcome, time) in called {
        println!("{outcome:?} after {time:?}");
    }
    println!("{counts:?}");
    Ok(())
}
