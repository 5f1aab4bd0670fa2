//! Whether a client of HTTP/2 takes what is sent to it: a stream that it gives no room blocks no socket.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::sleep;

/// What a stream is given at a time, in bytes: who has room for so much in time is not too slow, and no more than that waits
/// where nobody watches it.
const PIECE: usize = 16 * 1024;

tokio::task_local! {
    /// What the body of the stream that is polled has said last, if it was asked.
    static SAID: Cell<Option<Said>>;
}

#[derive(Debug, Clone, Copy)]
enum Said {
    /// Here is something; asked for more, the client has taken it, or can.
    Gives,
    /// There is nothing yet.
    Waits,
}

/// A body gives something; how many bytes that may be.
pub(super) fn gives() -> usize {
    let given = SAID.try_with(|said| {
        said.set(Some(Said::Gives));
        PIECE
    });
    // Over HTTP/1.1 it is the socket that is watched.
    given.unwrap_or(usize::MAX)
}

/// A body has nothing to give yet.
pub(super) fn waits() {
    let _ = SAID.try_with(|said| said.set(Some(Said::Waits)));
}

/// Runs the streams of HTTP/2, and ends those of which nothing is taken for that long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paced(pub(super) Duration);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Paced {
    fn execute(&self, stream: F) {
        tokio::spawn(paced(stream, self.0));
    }
}

async fn paced(stream: impl Future<Output = ()>, time: Duration) {
    let mut stream = pin!(stream);
    let mut stall = pin!(None);
    poll_fn(|cx| {
        let (polled, said) = SAID.sync_scope(Cell::new(None), || {
            let polled = stream.as_mut().poll(cx);
            (polled, SAID.with(Cell::get))
        });
        if polled.is_ready() {
            return polled;
        }
        match said {
            Some(Said::Gives) => stall.set(Some(sleep(time))),
            Some(Said::Waits) => stall.set(None),
            // It has no room yet, or the program has not answered.
            None => {}
        }
        let Some(stall) = stall.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        stall
            .poll(cx)
            .map(|()| tracing::debug!("the client does not read a stream"))
    })
    .await;
}
