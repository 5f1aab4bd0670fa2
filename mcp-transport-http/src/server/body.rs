//! What a response carries.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::exchange::ExchangeStream;
#[cfg(feature = "http-sse")]
use super::http_sse::SessionStream;
use super::lanes::LaneStream;
use super::pace;
use super::service::Permit;

/// The body of a response: nothing, one message, or a stream of events.
pub struct Body {
    /// What is there and has not been given out yet.
    rest: Bytes,
    more: More,
    /// The room that the request takes up, for as long as it does.
    permit: Option<Permit>,
}

/// What comes after it.
enum More {
    Nothing,
    Exchange(Box<ExchangeStream>),
    Lane(Box<LaneStream>),
    #[cfg(feature = "http-sse")]
    Session(Box<SessionStream>),
}

impl Body {
    pub(super) fn empty() -> Self {
        More::Nothing.into()
    }

    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self {
            rest: bytes.into(),
            ..Self::empty()
        }
    }

    pub(super) fn exchange(stream: ExchangeStream) -> Self {
        More::Exchange(Box::new(stream)).into()
    }

    pub(super) fn lane(stream: LaneStream) -> Self {
        More::Lane(Box::new(stream)).into()
    }

    #[cfg(feature = "http-sse")]
    pub(super) fn session(stream: SessionStream) -> Self {
        More::Session(Box::new(stream)).into()
    }

    pub(super) fn holding(mut self, permit: Permit) -> Self {
        self.permit = Some(permit);
        self
    }
}

impl From<More> for Body {
    fn from(more: More) -> Self {
        Self {
            rest: Bytes::new(),
            more,
            permit: None,
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let data = match &mut this.more {
                More::Nothing => Poll::Ready(None),
                More::Exchange(stream) => stream.poll_data(cx),
                More::Lane(stream) => stream.poll_data(cx),
                #[cfg(feature = "http-sse")]
                More::Session(stream) => stream.poll_data(cx),
            };
            match data {
                Poll::Ready(Some(data)) => this.rest = data,
                Poll::Ready(None) => {
                    this.more = More::Nothing;
                    this.permit = None;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    pace::waits();
                    return Poll::Pending;
                }
            }
        }
        let length = this.rest.len().min(pace::gives());
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && matches!(self.more, More::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        match self.more {
            More::Nothing => SizeHint::with_exact(self.rest.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.more {
            More::Nothing if self.rest.is_empty() => "Body::Empty",
            More::Nothing => "Body::Whole",
            _ => "Body::Events",
        })
    }
}
