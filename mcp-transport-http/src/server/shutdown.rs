//! The end of things, and who waits for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Tells a transport when it is to end; costs nothing until somebody waits.
pub(super) struct Ending {
    token: CancellationToken,
    waiting: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Ending {
    pub(super) fn new(token: CancellationToken) -> Self {
        Self {
            token,
            waiting: None,
        }
    }

    pub(super) fn has_come(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Whether it has come; asks to be woken when it does.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(self.token.clone().cancelled_owned()));
        matches!(waiting.as_mut().poll(cx), Poll::Ready(()))
    }
}

impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ending")
            .field(&self.token.is_cancelled())
            .finish()
    }
}
