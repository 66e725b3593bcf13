//! Work that blocks: files, compression, signatures, on threads of the whole process.
//!
//! The runtime of each actix thread has a pool of its own for such work, which ends its threads when they are idle
//! and panics when it has none and the system gives it none: on a machine without memory or process ids that ended the
//! actors that an operator needs just then. This one keeps a thread from the start, and where it gets no further one,
//! work waits for its turn.

use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// The most threads. Work here is short, or bound by the disk.
const THREADS: usize = 64;
/// Idle threads are kept for so long: always.
const KEPT: Duration = Duration::from_secs(u32::MAX as u64);

/// Never driven: only its pool is used. Made when a process starts, with the store that it opens first.
static POOL: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_current_thread();
    builder.max_blocking_threads(THREADS).thread_keep_alive(KEPT).thread_name("blocking");
    let pool = builder.build().expect("a runtime without drivers asks the system for nothing");
    let (sender, first) = mpsc::channel();
    drop(pool.spawn_blocking(move || sender.send(())));
    first.recv().expect("the first thread runs what it is given");
    pool
});

/// Runs `work` there. Who drops the handle does not stop it.
///
/// # Panics
/// The very first time, where the system gives no thread: a process that only starts can do nothing then.
pub fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    POOL.spawn_blocking(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_goes_on_where_the_system_gives_no_more_threads() {
        // Threads beyond the most are as those that the system does not give.
        let many: Vec<_> = (0..THREADS * 4)
            .map(|number| {
                run(move || {
                    std::thread::sleep(Duration::from_millis(1));
                    number
                })
            })
            .collect();
        for (number, work) in many.into_iter().enumerate() {
            assert_eq!(work.await.unwrap(), number);
        }
        assert!(run(|| panic!("on purpose")).await.is_err());
        assert_eq!(run(|| 1).await.unwrap(), 1);
    }
}
