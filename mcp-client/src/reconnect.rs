//! Connections that are opened again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use mcp_peer::session::EraChoice;
use mcp_peer::types::Era;
use mcp_peer::{Closed, Driver};
use tokio::time::{Instant, sleep};

use crate::connector::Connector;

/// How a connection that is lost is opened again.
///
/// Calls in flight fail when it is lost, and are never sent again unless they are marked [`idempotent`](crate::Call::idempotent).
/// Calls made meanwhile wait for as long as their own timeout, and then for the answer again, within what they
/// [have in all](crate::Call::max_total). Subscriptions are opened again, and then every change that they tell of is told once, for
/// it may have happened in between. Receivers and callbacks go on as if nothing had been. A handler that still answers the lost connection, and calls the server meanwhile, waits for the next
/// one, which waits for it for [`Options::drain`](crate::Options::drain) at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconnect {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Default for Reconnect {
    /// After 100 ms at first, twice as long each time up to 30 s, ten times in a row.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(30),
            attempts: 10,
        }
    }
}

impl Reconnect {
    /// Sets the first delay and the longest. Each is twice the one before, and a random part of its second half is left
    /// out, so that many clients of one server do not come back all at once.
    #[must_use]
    pub fn delays(mut self, first: Duration, longest: Duration) -> Self {
        (self.first, self.longest) = (first, longest);
        self
    }

    /// Sets how many attempts may fail in a row. A connection that did not last as long as the longest delay counts as one.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    fn delay(&self, failed: u32) -> Duration {
        let factor = 2_u32.checked_pow(failed).unwrap_or(u32::MAX);
        let delay = self.first.saturating_mul(factor).min(self.longest);
        delay.mul_f64(0.5 + 0.5 * random_part())
    }
}

/// Between 0 and 1. The standard library's only randomness is good enough to spread delays.
fn random_part() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(random as u32) / f64::from(u32::MAX)
}

/// Drives a connection as long as there is a transport for it.
pub(crate) async fn drive<C: Connector>(
    mut driver: Driver<C::Transport>,
    mut connector: C,
    choice: EraChoice,
    policy: Option<Reconnect>,
) {
    // The era that the server was found to be in when it was opened last.
    let mut found = None;
    let mut attempts = Attempts {
        backoff: policy.map(Backoff::new),
        opened: false,
        probes: 0,
    };
    loop {
        let started = Instant::now();
        let ended = (&mut driver).await;
        if let Err(error) = &ended {
            tracing::warn!(%error, "connection lost");
        }
        let Some(why) = driver.lost() else {
            return;
        };
        let died = matches!(why, Closed::NotOpened(error) if error.is_lost_probe());
        let established = driver.established();
        if let Some(before) = established {
            attempts.opened(started.elapsed());
            found = Some(before.version.era());
        }
        let era = match (choice, established) {
            (EraChoice::Auto, Some(before)) => before.version.era().into(),
            // A server that cannot bear the question is started again and not asked (inventory 3.2, step 7). One that has
            // answered it can: it was something else that broke the transport.
            (EraChoice::Auto, None) if found != Some(Era::Modern) && died => EraChoice::Legacy,
            // To ask the same again helps nobody.
            (_, None) if !attempts.opened && died => return,
            _ => choice,
        };
        let transport = loop {
            let Some(delay) = attempts.next() else {
                return;
            };
            let connecting = async {
                sleep(delay).await;
                connector.connect().await
            };
            let connected = tokio::select! {
                biased;
                () = driver.unwanted() => return,
                connected = connecting => connected,
            };
            match connected {
                Ok(transport) => break transport,
                Err(error) => tracing::warn!(%error, "no transport"),
            }
        };
        driver.reopen(transport, era);
    }
}

/// Attempts to open a connection.
struct Attempts {
    backoff: Option<Backoff>,
    /// Whether the connection has ever been open.
    opened: bool,
    probes: u32,
}

impl Attempts {
    fn opened(&mut self, lasted: Duration) {
        if let Some(backoff) = &mut self.backoff {
            backoff.lasted(lasted);
        }
        self.opened = true;
    }

    /// How long to wait before the next one, if there is to be one.
    fn next(&mut self) -> Option<Duration> {
        if !self.opened {
            self.probes += 1;
            return (self.probes == 1).then_some(Duration::ZERO);
        }
        self.backoff.as_mut()?.next()
    }
}

/// Attempts in a row, each later than the one before.
pub(crate) struct Backoff {
    policy: Reconnect,
    failed: u32,
}

impl Backoff {
    pub(crate) fn new(policy: Reconnect) -> Self {
        Self { policy, failed: 0 }
    }

    /// The last attempt succeeded, and what came of it lasted so long: if that was long enough, nothing has failed.
    pub(crate) fn lasted(&mut self, time: Duration) {
        if time >= self.policy.longest {
            self.failed = 0;
        }
    }

    /// How long to wait before the next one, if there is to be one.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        let failed = self.failed;
        self.failed += 1;
        (failed < self.policy.attempts).then(|| self.policy.delay(failed))
    }
}
