//! Holding: whether this process has the file, which only one at a time can.
//!
//! Invariant: whoever was given the file can use it to the end; it is closed when the last of them is done.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::file::File;
use crate::error::StoreError;

/// How long those who use the file may take to be done with it.
const DONE_WAIT: Duration = Duration::from_secs(5);
/// How often is looked whether they are.
const LOOK: Duration = Duration::from_millis(1);

/// The file, as long as it is ours.
pub(super) struct Holding {
    directory: PathBuf,
    file: Mutex<Option<Arc<File>>>,
}

impl Holding {
    pub(super) async fn open(directory: PathBuf) -> Result<Self, StoreError> {
        let file = open(directory.clone()).await?;
        Ok(Self { directory, file: Mutex::new(Some(Arc::new(file))) })
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<File>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file, to use it once.
    pub(super) fn get(&self) -> Result<Arc<File>, StoreError> {
        self.held().clone().ok_or_else(|| StoreError::unavailable("it was handed to the next process"))
    }

    /// Closes the file. Where somebody does not come to an end with it, it stays open.
    pub(super) async fn let_go(&self) -> Result<(), StoreError> {
        let Some(mut file) = self.held().take() else { return Ok(()) };
        let until = Instant::now() + DONE_WAIT;
        loop {
            match Arc::try_unwrap(file) {
                Ok(last) => {
                    let closed = tokio::task::spawn_blocking(move || drop(last)).await;
                    return closed.map_err(StoreError::unavailable);
                }
                Err(shared) if Instant::now() < until => file = shared,
                Err(shared) => {
                    *self.held() = Some(shared);
                    return Err(StoreError::unavailable("it is still being used"));
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Opens it again.
    pub(super) async fn take_back(&self) -> Result<(), StoreError> {
        if self.held().is_none() {
            let file = open(self.directory.clone()).await?;
            *self.held() = Some(Arc::new(file));
        }
        Ok(())
    }
}

async fn open(directory: PathBuf) -> Result<File, StoreError> {
    let opened = tokio::task::spawn_blocking(move || File::open(&directory)).await;
    opened.unwrap_or_else(|error| Err(StoreError::unavailable(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(done: Result<T, StoreError>) -> &'static str {
        done.map_or_else(|error| error.code(), |_| "ok")
    }

    #[tokio::test]
    async fn a_file_that_was_let_go_is_anothers_until_it_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let ours = Holding::open(directory.path().to_owned()).await.unwrap();
        assert_eq!(code(Holding::open(directory.path().to_owned()).await), "store.locked");
        let used = ours.get().unwrap();
        let (gone, ()) = tokio::join!(ours.let_go(), async move {
            tokio::task::yield_now().await;
            assert!(used.ping().is_ok(), "who has it uses it to the end");
        });
        assert_eq!((code(gone), code(ours.get())), ("ok", "store.unavailable"));
        let theirs = Holding::open(directory.path().to_owned()).await.unwrap();
        assert_eq!(code(ours.take_back().await), "store.locked");
        drop(theirs);
        assert_eq!((code(ours.take_back().await), code(ours.get())), ("ok", "ok"));
    }
}
