//! Arithmetic on instants that cannot overflow.

use std::time::{Duration, Instant};

/// Longer than any connection lives, and still far from the end of any platform's clock.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// `now + wait`; a wait beyond the clock's range, such as [`Duration::MAX`] for "never", ends in thirty years.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    now + wait.min(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_a_time_too() {
        let now = Instant::now();
        assert_eq!(after(now, Duration::ZERO), now);
        assert_eq!(after(now, Duration::MAX), after(now, NEVER));
        assert!(after(now, Duration::MAX) > now + Duration::from_secs(1 << 28));
    }
}
