//! Starting a child again, but not for ever.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::child::{ChildProcess, ChildTransport, SpawnError};

/// How often a child is started again, and when.
///
/// ```
/// use std::time::Duration;
/// use mcp_transport_stdio::RestartPolicy;
///
/// let mut policy = RestartPolicy::default();
/// policy.pause = Duration::from_millis(100);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestartPolicy {
    /// How many starts there may be within [`within`](Self::within), the first one included. Default 5.
    pub starts: usize,
    /// The time that counts. Default 60 s.
    pub within: Duration,
    /// How long the second start waits since the first; each one after it waits twice as long as the one before, until no
    /// start has been within the time that counts. Default 500 ms.
    pub pause: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            starts: 5,
            within: Duration::from_secs(60),
            pause: Duration::from_millis(500),
        }
    }
}

/// Why a child is not started again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It was started as often as the policy allows. Later it may be again.
    #[error("started {starts} times within {within:?}")]
    TooOften {
        /// How often.
        starts: usize,
        /// Within which time.
        within: Duration,
    },
}

type Starting = Pin<Box<dyn Future<Output = Result<ChildTransport, RestartError>> + Send>>;

impl ChildProcess {
    /// A function that starts the child whenever it is called: at once the first time, later as the policy says.
    ///
    /// It is for whoever connects again when a connection is lost.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), mcp_transport_stdio::RestartError> {
    /// use mcp_transport_stdio::{ChildProcess, RestartPolicy};
    ///
    /// let mut connect = ChildProcess::new("my-server").connector(RestartPolicy::default());
    /// let first = connect().await?;
    /// drop(first);
    /// let second = connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The futures of the function fail with [`RestartError`].
    ///
    /// # Cancel safety
    /// A future of the function that is dropped while it waits starts nothing, and counts as a start.
    pub fn connector(self, policy: RestartPolicy) -> impl FnMut() -> Starting + Send + 'static {
        let mut starts = Starts::new(policy);
        move || {
            let (child, due) = (self.clone(), starts.next(Instant::now()));
            Box::pin(async move {
                sleep_until(due?).await;
                Ok(child.spawn()?)
            })
        }
    }
}

/// Thirty years: longer times are taken for so long, as an instant has its bounds.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The starts within the time that counts.
struct Starts {
    policy: RestartPolicy,
    times: VecDeque<Instant>,
}

impl Starts {
    fn new(policy: RestartPolicy) -> Self {
        let times = VecDeque::new();
        Self { policy, times }
    }

    /// When the next start may be.
    fn next(&mut self, now: Instant) -> Result<Instant, RestartError> {
        let RestartPolicy {
            starts,
            within,
            pause,
        } = self.policy;
        let over = |time: &Instant| *time + within.min(FAR) <= now;
        while self.times.front().is_some_and(over) {
            self.times.pop_front();
        }
        if self.times.len() >= starts {
            return Err(RestartError::TooOften { starts, within });
        }
        let due = match (self.times.back(), self.times.len()) {
            (Some(last), count) => {
                let doubled = u32::try_from(count - 1).unwrap_or(u32::MAX).min(31);
                (*last + pause.saturating_mul(1 << doubled).min(FAR)).max(now)
            }
            (None, _) => now,
        };
        self.times.push_back(due);
        Ok(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn starts_wait_longer_and_longer_until_there_were_too_many() {
        let policy = RestartPolicy {
            starts: 4,
            within: 60 * SECOND,
            pause: SECOND,
        };
        let mut starts = Starts::new(policy);
        let begun = Instant::now();
        let mut next = |at: u32| {
            let due = starts.next(begun + at * SECOND);
            due.map(|due| (due - begun).as_secs())
        };
        assert_eq!(
            [next(0).ok(), next(0).ok(), next(1).ok(), next(30).ok()],
            [Some(0), Some(1), Some(3), Some(30)]
        );
        assert!(matches!(
            next(31),
            Err(RestartError::TooOften { starts: 4, .. })
        ));
        // The first three have been forgotten by then, and the pause is short again.
        assert_eq!(next(70).ok(), Some(70));
        assert_eq!(next(70).ok(), Some(72));
        assert_eq!(next(200).ok(), Some(200));
    }

    #[tokio::test(start_paused = true)]
    async fn times_without_end_are_no_panic() {
        let policy = RestartPolicy {
            starts: 2,
            within: Duration::MAX,
            pause: Duration::MAX,
        };
        let mut starts = Starts::new(policy);
        let now = Instant::now();
        assert_eq!(starts.next(now).ok(), Some(now));
        assert_eq!(starts.next(now).ok(), Some(now + FAR));
        assert!(starts.next(now).is_err());
    }
}
