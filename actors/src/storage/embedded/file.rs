//! The file and its tables.
//!
//! Invariant: every write transaction is synced and can be repaired quickly, so that a start after a kill takes
//! no longer than any other.
//! Not here: what is read and written (`scripts`, `shared`).

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableHandle, WriteTransaction,
};

use crate::error::StoreError;

/// The layout that this program writes.
const SCHEMA: u64 = 1;
pub(super) const FILE_NAME: &str = "callboard.redb";
/// Contents are kept in memory by their users; the file's own cache only has to hold the upper pages.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

pub(super) type Hash = &'static [u8; 32];

pub(super) const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
/// Bundle hash → checksum and bytes.
pub(super) const BUNDLES: TableDefinition<'_, Hash, &[u8]> = TableDefinition::new("bundles");
/// Bundle hash and fingerprint → checksum and bytes.
pub(super) const UNITS: TableDefinition<'_, (Hash, &str), &[u8]> = TableDefinition::new("units");
/// Script → head.
pub(super) const HEADS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("heads");
/// Script and sequence number → the head it made and who made it.
pub(super) const MOVES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("moves");
/// Script and number → revision.
pub(super) const REVISIONS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("revisions");
/// Time and id → audit entry, of everyone.
pub(super) const AUDIT: TableDefinition<'_, (u64, &str), &[u8]> = TableDefinition::new("audit");
/// Pattern → script.
pub(super) const ROUTES: TableDefinition<'_, &str, &str> = TableDefinition::new("routes");
/// Scope → switch.
pub(super) const SWITCHES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("switches");
/// Scope → what was set of its quotas.
pub(super) const QUOTAS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("quotas");
/// Id → token.
pub(super) const TOKENS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tokens");

/// What ended a piece of work.
#[derive(Debug)]
pub(super) enum Fault {
    /// Before the commit: nothing was changed.
    Before(StoreError),
    /// The same, and the file is of no use any more before it is opened again: a full disk, for example.
    Broken(String),
    /// In the commit: what is on the disk is not known before the file is opened again.
    Commit(String),
}

pub(super) type Step<T> = Result<T, Fault>;

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Before(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Before(error) => error,
            Fault::Broken(why) | Fault::Commit(why) => Self::Unavailable { why },
        }
    }
}

macro_rules! faults {
    ($($error:ty),*) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                of(error.into())
            }
        }
    )*};
}
faults!(redb::StorageError, redb::TableError, redb::TransactionError, DatabaseError);

fn of(error: redb::Error) -> Fault {
    Fault::Before(match error {
        redb::Error::Corrupted(why) => StoreError::corrupt("the store's file", why),
        error @ (redb::Error::TableTypeMismatch { .. } | redb::Error::TypeDefinitionChanged { .. }) => {
            StoreError::corrupt("the store's file", error)
        }
        redb::Error::ValueTooLarge(size) => {
            StoreError::TooLarge { what: "a value".to_owned(), size, most: super::CONTENT_MAX }
        }
        error @ (redb::Error::Io(_)
        | redb::Error::Backend(_)
        | redb::Error::PreviousIo
        | redb::Error::DatabaseClosed
        | redb::Error::LockPoisoned(_)) => return Fault::Broken(error.to_string()),
        error => StoreError::unavailable(error),
    })
}

/// Whether a piece of work changed something that has to be kept.
pub(super) enum Done<T> {
    Keep(T),
    Leave(T),
}

/// Which file it is, whatever its name: device and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

pub(super) struct File {
    database: Database,
    path: PathBuf,
    /// The file that was opened.
    identity: Identity,
    /// How it failed, if it is of no use any more.
    failed: OnceLock<String>,
}

impl File {
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        // Hashes of tokens are nobody else's business.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| StoreError::unavailable(format_args!("{}: {error}", directory.display())))?;
        let path = directory.join(FILE_NAME);
        let opened = builder().create(&path);
        Self::opened(opened, path)
    }

    /// Opens the file that this one was, and makes none.
    pub(super) fn open_again(directory: &Path, identity: Identity) -> Result<Self, StoreError> {
        let path = directory.join(FILE_NAME);
        is_still(&path, identity)?;
        let opened = builder().open(&path);
        Self::opened(opened, path)
    }

    fn opened(opened: Result<Database, DatabaseError>, path: PathBuf) -> Result<Self, StoreError> {
        let file = match opened {
            Ok(database) => {
                let identity = identity(&path).map_err(StoreError::unavailable)?;
                Self { database, path, identity, failed: OnceLock::new() }
            }
            Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) => {
                return Err(StoreError::Locked { path });
            }
            Err(error) => return Err(Fault::from(error).into()),
        };
        file.set_up()?;
        Ok(file)
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Remembers what a piece of work met.
    pub(super) fn met(&self, fault: &Fault) {
        if let Fault::Broken(why) | Fault::Commit(why) = fault {
            let _ = self.failed.set(why.clone());
        }
    }

    /// How it failed, if it did: then it has to be opened again.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Makes the tables, so that no reader finds one missing, and refuses a file of a newer program.
    fn set_up(&self) -> Step<()> {
        self.write(|tables| {
            let mut about = tables.open_table(ABOUT)?;
            let found = about.get("schema")?.map(|version| version.value());
            match found {
                Some(SCHEMA) if tables.list_tables()?.any(|table| table.name() == QUOTAS.name()) => {
                    return Ok(Done::Leave(()));
                }
                // A program before quotas made it, and goes on to work with it.
                Some(SCHEMA) => {
                    tables.open_table(QUOTAS)?;
                    return Ok(Done::Keep(()));
                }
                Some(found) => {
                    let found = u32::try_from(found).unwrap_or(u32::MAX);
                    return Err(StoreError::Schema { found, wanted: SCHEMA as u32 }.into());
                }
                None => about.insert("schema", SCHEMA)?,
            };
            tables.open_table(BUNDLES)?;
            tables.open_table(UNITS)?;
            tables.open_table(HEADS)?;
            tables.open_table(MOVES)?;
            tables.open_table(REVISIONS)?;
            tables.open_table(AUDIT)?;
            tables.open_table(ROUTES)?;
            tables.open_table(SWITCHES)?;
            tables.open_table(QUOTAS)?;
            tables.open_table(TOKENS)?;
            Ok(Done::Keep(()))
        })
    }

    /// A view of the file as it is now. It has to live as long as anything that is read through it.
    pub(super) fn read(&self) -> Step<ReadTransaction> {
        Ok(self.database.begin_read()?)
    }

    /// One transaction: all that `work` wrote is kept, or nothing when it failed or says so.
    pub(super) fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Step<Done<T>>) -> Step<T> {
        self.is_there()?;
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        match work(&transaction)? {
            Done::Keep(value) => {
                transaction.commit().map_err(|error| Fault::Commit(error.to_string()))?;
                Ok(value)
            }
            Done::Leave(value) => {
                transaction.abort()?;
                Ok(value)
            }
        }
    }

    /// What is written to a file that nobody can find again is lost, however well it is synced.
    fn is_there(&self) -> Result<(), StoreError> {
        is_still(&self.path, self.identity)
    }

    pub(super) fn ping(&self) -> Step<()> {
        self.is_there()?;
        self.read()?.open_table(ABOUT)?;
        Ok(())
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn identity(path: &Path) -> std::io::Result<Identity> {
    let about = std::fs::metadata(path)?;
    Ok(Identity(about.dev(), about.ino()))
}

fn is_still(path: &Path, expected: Identity) -> Result<(), StoreError> {
    match identity(path) {
        Ok(found) if found == expected => Ok(()),
        _ => Err(StoreError::unavailable(format_args!(
            "{} was taken away or replaced while it was in use",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;

    use super::*;

    /// A disk that may be full.
    #[derive(Debug)]
    struct Disk {
        memory: InMemoryBackend,
        is_full: Arc<AtomicBool>,
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.memory.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.memory.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.memory.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.memory.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            if self.is_full.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.memory.write(offset, data)
        }
    }

    #[test]
    fn a_file_whose_disk_was_full_is_of_no_use_any_more_and_says_so() {
        let is_full = Arc::new(AtomicBool::new(false));
        let disk = Disk { memory: InMemoryBackend::new(), is_full: Arc::clone(&is_full) };
        let named = tempfile::NamedTempFile::new().unwrap();
        let file = File {
            database: builder().create_with_backend(disk).unwrap(),
            path: named.path().to_owned(),
            identity: identity(named.path()).unwrap(),
            failed: OnceLock::new(),
        };
        file.set_up().unwrap();
        let write = || {
            let kept = file.write(|tables| {
                tables.open_table(ABOUT)?.insert("more", 1)?;
                Ok(Done::Keep(()))
            });
            kept.inspect_err(|fault| file.met(fault))
        };
        write().unwrap();
        is_full.store(true, Ordering::Relaxed);
        assert!(matches!(write(), Err(Fault::Broken(_) | Fault::Commit(_))));
        is_full.store(false, Ordering::Relaxed);
        assert!(matches!(write(), Err(Fault::Broken(_))));
        assert!(file.failed().is_some());
    }

    #[test]
    fn a_file_that_was_taken_away_takes_nothing_any_more_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::open(directory.path()).unwrap();
        std::fs::remove_file(directory.path().join(FILE_NAME)).unwrap();
        let written = file.write(|_| Ok(Done::Keep(()))).map_err(StoreError::from);
        assert!(written.unwrap_err().to_string().contains("taken away"));
        assert!(file.ping().is_err());
        std::fs::write(directory.path().join(FILE_NAME), b"another").unwrap();
        assert!(file.ping().is_err());
    }

    #[test]
    fn a_second_opener_is_told_who_has_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let first = File::open(directory.path()).unwrap();
        let path = directory.path().join(FILE_NAME);
        assert_eq!(File::open(directory.path()).err(), Some(StoreError::Locked { path }));
        drop(first);
        assert!(File::open(directory.path()).is_ok());
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::open(directory.path()).unwrap();
        file.write(|tables| {
            tables.open_table(ABOUT)?.insert("schema", SCHEMA + 1)?;
            Ok(Done::Keep(()))
        })
        .unwrap();
        drop(file);
        assert_eq!(File::open(directory.path()).err(), Some(StoreError::Schema { found: 2, wanted: 1 }));
    }

    #[test]
    fn a_file_that_is_no_store_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        std::fs::write(&path, b"something else that somebody wrote").unwrap();
        assert!(File::open(directory.path()).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"something else that somebody wrote");
    }
}
