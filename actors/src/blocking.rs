//! Work that blocks: files, compression, signatures, on threads of the whole process.
//!
//! The runtime of each actix thread has a pool of its own for such work, which panics when it has no thread and the
//! system gives it none: on a machine without memory or process ids that ended the actors that an operator needs just
//! then. Here work goes to a pool whose idle threads end, since the end of a thread is when the allocator gives memory
//! back; and where that pool gets no thread, to one that is kept from the start.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// The most threads. Work here is short, or bound by the disk.
const THREADS: usize = 64;
/// How long threads are kept that have nothing to do.
const IDLE: Duration = Duration::from_secs(10);
/// The same for the last resort: always.
const ALWAYS: Duration = Duration::from_secs(u32::MAX as u64);

/// Never driven: only its pool is used.
static POOL: LazyLock<Runtime> = LazyLock::new(|| pool(THREADS, IDLE));

/// One thread. Made when a process starts, with the store that it opens first.
static LAST_RESORT: LazyLock<Runtime> = LazyLock::new(|| {
    let pool = pool(1, ALWAYS);
    let (sender, first) = mpsc::channel();
    drop(pool.spawn_blocking(move || sender.send(())));
    first.recv().expect("the first thread runs what it is given");
    pool
});

fn pool(threads: usize, idle: Duration) -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.max_blocking_threads(threads).thread_keep_alive(idle).thread_name("blocking");
    builder.build().expect("a runtime without drivers asks the system for nothing")
}

/// Runs `work` there. Who drops the handle does not stop it.
///
/// # Panics
/// The very first time, where the system gives no thread: a process that only starts can do nothing then.
pub fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    LazyLock::force(&LAST_RESORT);
    run_in(&POOL, work)
}

fn run_in<T: Send + 'static>(pool: &Runtime, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    // A pool that panics, since it has no thread, has queued the work before and may find it there later.
    let slot = Arc::new(Mutex::new(Some(work)));
    let queued = Arc::clone(&slot);
    catch_unwind(AssertUnwindSafe(|| pool.spawn_blocking(move || do_it(&queued))))
        .unwrap_or_else(|_| LAST_RESORT.spawn_blocking(move || do_it(&slot)))
}

/// Does the work, unless it was done: then whoever waits here is told that the thread ended.
fn do_it<T>(slot: &Mutex<Option<impl FnOnce() -> T>>) -> T {
    let work = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    work.map_or_else(|| resume_unwind(Box::new("done elsewhere")), |work| work())
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

    #[tokio::test]
    async fn work_is_done_once_by_whoever_comes_first() {
        let slot = Mutex::new(Some(|| 1));
        assert_eq!(do_it(&slot), 1);
        assert!(catch_unwind(AssertUnwindSafe(|| do_it(&slot))).is_err());
        assert_eq!(LAST_RESORT.spawn_blocking(|| 2).await.unwrap(), 2);
    }
}
