//! Holding: whether this process has the file, which only one at a time can, and whether it is of use.
//!
//! Invariant: whoever was given the file can use it to the end; it is closed when the last of them is done. One that
//! failed is given to nobody: who needs it next opens it again, and only if it is still the same file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::file::{File, Identity};
use crate::error::StoreError;
use crate::events::Event;

/// How long those who use the file may take to be done with it.
const DONE_WAIT: Duration = Duration::from_secs(5);
/// How often is looked whether they are.
const LOOK: Duration = Duration::from_millis(1);
/// How long nobody tries again to open a file that could not be opened.
const PAUSE: Duration = Duration::from_millis(250);

/// The file, as long as it is ours.
pub(super) struct Holding {
    directory: PathBuf,
    held: Mutex<Held>,
    /// Whoever opens or closes the file.
    turn: tokio::sync::Mutex<()>,
}

enum Held {
    Ours(Arc<File>),
    /// It failed, and is to be opened again.
    Closed(Closed),
    /// Another process may have it.
    Handed,
}

#[derive(Clone)]
struct Closed {
    identity: Identity,
    /// How it failed.
    why: String,
    /// When it could not be opened again, and why.
    refused: Option<(Instant, StoreError)>,
}

impl Holding {
    pub(super) async fn open(directory: PathBuf) -> Result<Self, StoreError> {
        let file = open(directory.clone(), None).await?;
        Ok(Self {
            directory,
            held: Mutex::new(Held::Ours(Arc::new(file))),
            turn: tokio::sync::Mutex::default(),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file, to use it once.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Arc<File>, StoreError> {
        if let Some(file) = self.usable()? {
            return Ok(file);
        }
        // It is opened even if who asked does not wait for it.
        let this = Arc::clone(self);
        let opened = tokio::spawn(async move { this.open_again().await }).await;
        opened.unwrap_or_else(|error| Err(StoreError::unavailable(error)))
    }

    /// The file; nothing when it has to be opened again first.
    fn usable(&self) -> Result<Option<Arc<File>>, StoreError> {
        match &*self.held() {
            Held::Ours(file) => Ok(file.failed().is_none().then(|| Arc::clone(file))),
            Held::Closed(Closed { refused: Some((at, why)), .. }) if at.elapsed() < PAUSE => Err(why.clone()),
            Held::Closed(_) => Ok(None),
            Held::Handed => Err(handed()),
        }
    }

    async fn open_again(&self) -> Result<Arc<File>, StoreError> {
        let _turn = self.turn.lock().await;
        if let Some(file) = self.usable()? {
            return Ok(file);
        }
        let closed = self.closed().await?;
        match open(self.directory.clone(), Some(closed.identity)).await.map(Arc::new) {
            Ok(file) => {
                *self.held() = Held::Ours(Arc::clone(&file));
                Event::StoreReopened { why: &closed.why }.tell();
                Ok(file)
            }
            Err(error) => {
                let refused = Some((Instant::now(), error.clone()));
                *self.held() = Held::Closed(Closed { refused, ..closed });
                Err(error)
            }
        }
    }

    /// Closes the file that failed, if that is still to be done.
    async fn closed(&self) -> Result<Closed, StoreError> {
        let (closed, file) = {
            let mut held = self.held();
            match &*held {
                Held::Handed => return Err(handed()),
                Held::Closed(closed) => return Ok(closed.clone()),
                Held::Ours(file) => {
                    let why = file.failed().unwrap_or_default().to_owned();
                    let closed = Closed { identity: file.identity(), why, refused: None };
                    (closed.clone(), std::mem::replace(&mut *held, Held::Closed(closed)))
                }
            }
        };
        if let Held::Ours(file) = file {
            self.close(file).await?;
        }
        Ok(closed)
    }

    /// Closes the file. Where somebody does not come to an end with it, it stays open.
    async fn close(&self, mut file: Arc<File>) -> Result<(), StoreError> {
        let until = Instant::now() + DONE_WAIT;
        loop {
            match Arc::try_unwrap(file) {
                Ok(last) => {
                    let closed = crate::blocking::run(move || drop(last)).await;
                    return closed.map_err(StoreError::unavailable);
                }
                Err(shared) if Instant::now() < until => file = shared,
                Err(shared) => {
                    *self.held() = Held::Ours(shared);
                    return Err(StoreError::unavailable("it is still being used"));
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Closes the file, so that the next process can have it.
    pub(super) async fn let_go(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let held = std::mem::replace(&mut *self.held(), Held::Handed);
        match held {
            Held::Ours(file) => self.close(file).await,
            Held::Closed(_) | Held::Handed => Ok(()),
        }
    }

    /// Opens it again.
    pub(super) async fn take_back(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        if matches!(*self.held(), Held::Handed) {
            let file = open(self.directory.clone(), None).await?;
            *self.held() = Held::Ours(Arc::new(file));
        }
        Ok(())
    }
}

fn handed() -> StoreError {
    StoreError::unavailable("it was handed to the next process")
}

/// Opens the file: the one that is there, or only the one that it was.
async fn open(directory: PathBuf, was: Option<Identity>) -> Result<File, StoreError> {
    let opened = crate::blocking::run(move || match was {
        Some(identity) => File::open_again(&directory, identity),
        None => File::open(&directory),
    });
    opened.await.unwrap_or_else(|error| Err(StoreError::unavailable(error)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::{FILE_NAME, Fault};
    use super::*;

    fn code<T>(done: Result<T, StoreError>) -> &'static str {
        done.map_or_else(|error| error.code(), |_| "ok")
    }

    async fn ours(directory: &Path) -> Arc<Holding> {
        Arc::new(Holding::open(directory.to_owned()).await.unwrap())
    }

    #[tokio::test]
    async fn a_file_that_was_let_go_is_anothers_until_it_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let ours = ours(directory.path()).await;
        assert_eq!(code(Holding::open(directory.path().to_owned()).await), "store.locked");
        let used = ours.get().await.unwrap();
        let (gone, ()) = tokio::join!(ours.let_go(), async move {
            tokio::task::yield_now().await;
            assert!(used.ping().is_ok(), "who has it uses it to the end");
        });
        assert_eq!((code(gone), code(ours.get().await)), ("ok", "store.unavailable"));
        let theirs = Holding::open(directory.path().to_owned()).await.unwrap();
        assert_eq!(code(ours.take_back().await), "store.locked");
        drop(theirs);
        assert_eq!((code(ours.take_back().await), code(ours.get().await)), ("ok", "ok"));
    }

    #[tokio::test]
    async fn a_file_that_failed_is_opened_again_when_nobody_uses_it_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let ours = ours(directory.path()).await;
        let failed = ours.get().await.unwrap();
        let used = ours.get().await.unwrap();
        failed.met(&Fault::Broken("no space".to_owned()));
        drop(failed);
        let (again, other, ()) = tokio::join!(ours.get(), ours.get(), async move {
            tokio::task::yield_now().await;
            assert!(used.ping().is_ok(), "who has it uses it to the end");
        });
        let (again, other) = (again.unwrap(), other.unwrap());
        assert!(Arc::ptr_eq(&again, &other) && again.failed().is_none() && again.ping().is_ok());
    }

    #[tokio::test]
    async fn a_file_that_failed_and_was_taken_away_is_not_made_anew_and_is_used_when_it_is_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let away = directory.path().join("away");
        let ours = ours(directory.path()).await;
        ours.get().await.unwrap().met(&Fault::Commit("no space".to_owned()));
        std::fs::rename(&path, &away).unwrap();
        for _ in 0..2 {
            assert!(ours.get().await.err().unwrap().to_string().contains("taken away"));
            assert!(!path.exists());
        }
        std::fs::rename(&away, &path).unwrap();
        let until = Instant::now() + 40 * PAUSE;
        while code(ours.get().await) != "ok" {
            assert!(Instant::now() < until, "nobody tries again");
            tokio::time::sleep(LOOK).await;
        }
    }

    #[tokio::test]
    async fn a_file_that_failed_can_be_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let ours = ours(directory.path()).await;
        ours.get().await.unwrap().met(&Fault::Broken("no space".to_owned()));
        assert_eq!((code(ours.let_go().await), code(ours.get().await)), ("ok", "store.unavailable"));
        assert_eq!(code(Holding::open(directory.path().to_owned()).await), "ok");
    }
}
