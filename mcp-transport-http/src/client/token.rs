//! Where bearer tokens come from.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::Mutex;

type Ask = dyn Fn(Option<String>) -> TokenFuture + Send + Sync;
type TokenFuture = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// What the program has for them, and whose turn it is to have one refreshed.
pub(super) struct Tokens {
    ask: Box<Ask>,
    refreshing: Mutex<()>,
}

impl Tokens {
    pub(super) fn new<F, T>(ask: F) -> Self
    where
        F: Fn(Option<String>) -> T + Send + Sync + 'static,
        T: Future<Output = Option<String>> + Send + 'static,
    {
        Self {
            ask: Box::new(move |challenge| Box::pin(ask(challenge))),
            refreshing: Mutex::new(()),
        }
    }

    pub(super) async fn current(&self) -> Option<String> {
        (self.ask)(None).await
    }

    /// What to send instead of a token that was refused.
    ///
    /// If others were refused with the same one, the first of them has it refreshed; the others find that there is another by
    /// then, and leave it at that.
    pub(super) async fn instead_of(
        &self,
        refused: Option<String>,
        may_be_stale: bool,
        challenge: String,
    ) -> Another {
        // With refresh tokens that are good for once, the second to use one would spoil what the first has got.
        let _turn = self.refreshing.lock().await;
        if may_be_stale {
            let current = self.current().await;
            if current.is_some() && current != refused {
                return Another::Current(current);
            }
        }
        Another::Refreshed((self.ask)(Some(challenge)).await)
    }
}

/// A token in place of one that was refused.
pub(super) enum Another {
    /// The one there is by now.
    Current(Option<String>),
    /// What the program made of the challenge.
    Refreshed(Option<String>),
}
