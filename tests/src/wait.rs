//! Waiting for a state, with a limit.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is an answer, and says how long that took.
///
/// # Panics
/// There is none within the limit.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> (T, Duration) {
    until_else(what, limit, async || look().await.ok_or("nothing")).await
}

/// Looks until there is an answer; who waits in vain tells what was found instead at last.
///
/// # Panics
/// There is none within the limit.
pub async fn until_else<T, E: Debug>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> (T, Duration) {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(answer) => return (answer, began.elapsed()),
            Err(found) => assert!(began.elapsed() < limit, "{what}: not within {limit:?}, but {found:?}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
