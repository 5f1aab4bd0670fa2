use std::panic::Location;
use std::time::Duration;

/// How long anything in a test may take: far longer than it does, so that only a hang is caught and no slow machine.
const LIMIT: Duration = Duration::from_secs(20);

/// Awaits what a test expects to happen, and panics at the caller's line if it does not within 20 seconds.
///
/// The limit decides nothing but that a test hangs. On a paused clock it passes as soon as nothing else can happen.
///
/// # Panics
///
/// The time is over.
///
/// # Cancel safety
///
/// As cancel safe as the future it is given.
#[track_caller]
pub fn soon<T>(what: impl IntoFuture<Output = T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    let what = what.into_future();
    async move {
        match tokio::time::timeout(LIMIT, what).await {
            Ok(value) => value,
            Err(_) => panic!("still waiting after {LIMIT:?} at {caller}"),
        }
    }
}
