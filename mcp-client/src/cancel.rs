//! Cancelling calls from elsewhere.

use std::sync::Arc;

use tokio::sync::watch;

/// Cancels the calls that were given it; clones cancel the same calls.
///
/// ```no_run
/// # async fn run(client: mcp_client::Client) {
/// use mcp_client::Cancel;
///
/// let cancel = Cancel::new();
/// let button = cancel.clone();
/// std::thread::spawn(move || button.cancel());
/// let result = client.call_tool("build", serde_json::json!({})).cancelled_by(&cancel).await;
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<watch::Sender<bool>>);

impl Cancel {
    /// One that has cancelled nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels the calls that have it, and those that get it later.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it has.
    pub(crate) async fn cancelled(&self) {
        // It cannot fail: the sender is here.
        let _ = self.0.subscribe().wait_for(|cancelled| *cancelled).await;
    }
}
