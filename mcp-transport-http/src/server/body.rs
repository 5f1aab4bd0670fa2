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
use super::service::Permit;

/// The body of a response: nothing, one message, or a stream of events.
pub struct Body {
    kind: Kind,
    /// The room that the request takes up, for as long as it does.
    permit: Option<Permit>,
}

enum Kind {
    Empty,
    Whole(Bytes),
    Exchange(Box<ExchangeStream>),
    Lane(Box<LaneStream>),
    #[cfg(feature = "http-sse")]
    Session(Box<SessionStream>),
}

impl Body {
    pub(super) fn empty() -> Self {
        Kind::Empty.into()
    }

    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Kind::Whole(bytes.into()).into()
    }

    pub(super) fn exchange(stream: ExchangeStream) -> Self {
        Kind::Exchange(Box::new(stream)).into()
    }

    pub(super) fn lane(stream: LaneStream) -> Self {
        Kind::Lane(Box::new(stream)).into()
    }

    #[cfg(feature = "http-sse")]
    pub(super) fn session(stream: SessionStream) -> Self {
        Kind::Session(Box::new(stream)).into()
    }

    pub(super) fn holding(mut self, permit: Permit) -> Self {
        self.permit = Some(permit);
        self
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self { kind, permit: None }
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
        let data = match &mut this.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.kind = Kind::Empty;
                Poll::Ready(Some(bytes))
            }
            Kind::Exchange(stream) => stream.poll_data(cx),
            Kind::Lane(stream) => stream.poll_data(cx),
            #[cfg(feature = "http-sse")]
            Kind::Session(stream) => stream.poll_data(cx),
        };
        if let Poll::Ready(None) = data {
            this.kind = Kind::Empty;
            this.permit = None;
        }
        data.map(|data| data.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Empty => "Body::Empty",
            Kind::Whole(_) => "Body::Whole",
            _ => "Body::Events",
        })
    }
}
