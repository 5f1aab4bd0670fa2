//! Arithmetic on instants that cannot overflow.

use std::time::Duration;

use tokio::time::Instant;

/// Longer than any server runs, and still far from the end of any platform's clock.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// So much later than now; a wait beyond the clock's range, such as [`Duration::MAX`] for "never", ends in thirty years.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(NEVER)
}
