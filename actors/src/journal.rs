//! The journal of switches: a file on this node that an acknowledged switch is in before its answer.
//!
//! Invariant: when an append has returned, its rows survive kill -9 and a power cut. A line that was cut off
//! or damaged is told from a whole one by its checksum, and costs no other line.
//! Not here: which row wins (`verdicts`), the store.
//!
//! A line is 16 hex digits of the BLAKE3 hash of the rest, a blank, and the row as JSON. At the start, and whenever
//! it has grown by many lines, the newest row of each scope is written to a new file, which then takes the place of
//! the old one; of releases the newest are kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use quotas::scope::Scope;
use serde::{Deserialize, Serialize};

use crate::storage::SwitchRow;
use crate::supervisor::RELEASED_MAX;
use crate::verdicts;

/// After so many lines the file is written anew.
const LINES_MAX: usize = 50_000;

/// A row as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    scope: String,
    off: bool,
    generation: u64,
    by: String,
    reason: String,
    since_ms: u64,
    until_ms: Option<u64>,
    observe: bool,
}

/// What the journal said when it was opened.
#[derive(Debug)]
pub struct Replayed {
    /// The newest row of each scope.
    pub rows: Vec<SwitchRow>,
    /// Lines that could not be read.
    pub damaged: usize,
}

/// The journal. Its clones write to the same file.
#[derive(Debug, Clone)]
pub struct Journal {
    file: Arc<Mutex<Open>>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    /// Lines that were added since the file was written anew.
    added: usize,
    /// The last write failed, so the file may end within a line.
    torn: bool,
}

impl Journal {
    /// Opens the journal, makes it where there is none, and reads it. Blocks.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<(Self, Replayed)> {
        let directory = directory_of(path);
        std::fs::create_dir_all(directory)?;
        let (file, replayed) = compact(path, directory)?;
        let open = Open { path: path.to_owned(), file, added: 0, torn: false };
        Ok((Self { file: Arc::new(Mutex::new(open)) }, replayed))
    }

    /// What another process's journal says now. Blocks. A line that it is just writing counts as damaged, and is whole
    /// the next time.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn look(path: &Path) -> io::Result<Replayed> {
        Ok(replay(&std::fs::read(path)?))
    }

    /// Adds rows; they are on the disk when this returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn append(&self, rows: Vec<SwitchRow>) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || {
            file.lock().unwrap_or_else(PoisonError::into_inner).append(&rows)
        });
        written.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Open {
    fn append(&mut self, rows: &[SwitchRow]) -> io::Result<()> {
        let mut bytes = Vec::new();
        if self.torn {
            bytes.push(b'\n');
        }
        rows.iter().for_each(|row| bytes.extend_from_slice(&line(row)));
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("the file was taken away while it was in use"));
        }
        self.torn = true;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.torn = false;
        self.added += rows.len();
        if self.added >= LINES_MAX {
            self.added = 0;
            let directory = directory_of(&self.path).to_owned();
            match compact(&self.path, &directory) {
                Ok((file, _)) => self.file = file,
                // The rows are on the disk, in a file that grows on.
                Err(error) => tracing::warn!(%error, "the journal of switches was not written anew"),
            }
        }
        Ok(())
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the file anew with the rows that count, and opens it.
fn compact(path: &Path, directory: &Path) -> io::Result<(File, Replayed)> {
    let replayed = match std::fs::read(path) {
        Ok(bytes) => replay(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => replay(&[]),
        Err(error) => return Err(error),
    };
    if replayed.damaged > 0 {
        // What could not be read is kept for whoever wants to know what it was.
        std::fs::copy(path, path.with_extension("damaged"))?;
    }
    let fresh = path.with_extension("new");
    let mut compacted = io::BufWriter::new(File::create(&fresh)?);
    for row in &replayed.rows {
        compacted.write_all(&line(row))?;
    }
    compacted.into_inner()?.sync_all()?;
    std::fs::rename(&fresh, path)?;
    File::open(directory)?.sync_all()?;
    Ok((OpenOptions::new().append(true).open(path)?, replayed))
}

fn line(row: &SwitchRow) -> Vec<u8> {
    let line = Line {
        scope: row.scope.to_string(),
        off: row.off,
        generation: row.generation,
        by: row.by.clone(),
        reason: row.reason.clone(),
        since_ms: row.since_ms,
        until_ms: row.until_ms,
        observe: row.observe,
    };
    let json = serde_json::to_string(&line).expect("texts and numbers encode");
    format!("{} {json}\n", sum(json.as_bytes())).into_bytes()
}

fn sum(json: &[u8]) -> String {
    blake3::hash(json).to_hex()[..16].to_owned()
}

fn replay(bytes: &[u8]) -> Replayed {
    let mut damaged = 0;
    let mut rows = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match read(line) {
            Some(row) => rows.push(row),
            None => damaged += 1,
        }
    }
    Replayed { rows: verdicts::remembered(verdicts::newest(rows), RELEASED_MAX), damaged }
}

fn read(line: &[u8]) -> Option<SwitchRow> {
    let (said, rest) = line.split_at_checked(16)?;
    let json = rest.strip_prefix(b" ")?;
    if said != sum(json).as_bytes() {
        return None;
    }
    let line: Line = serde_json::from_slice(json).ok()?;
    Some(SwitchRow {
        scope: Scope::parse(&line.scope).ok()?,
        off: line.off,
        generation: line.generation,
        by: line.by,
        reason: line.reason,
        since_ms: line.since_ms,
        until_ms: line.until_ms,
        observe: line.observe,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(scope: &str, generation: u64) -> SwitchRow {
        SwitchRow {
            scope: Scope::parse(scope).unwrap(),
            off: true,
            generation,
            by: "ana".to_owned(),
            reason: "a\nb \u{0}".to_owned(),
            since_ms: 7,
            until_ms: Some(9),
            observe: false,
        }
    }

    #[test]
    fn what_was_appended_is_there_after_opening_again() {
        actix_rt::System::new().block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("deep/switches");
            let (journal, replayed) = Journal::open(&path).unwrap();
            assert!(replayed.rows.is_empty());
            journal.append(vec![row("all", 1), row("team:tv", 1)]).await.unwrap();
            journal.append(vec![row("all", 2)]).await.unwrap();
            for _ in 0..2 {
                let (_, replayed) = Journal::open(&path).unwrap();
                assert_eq!(replayed.rows, [row("all", 2), row("team:tv", 1)]);
                assert_eq!(replayed.damaged, 0);
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        });
    }

    #[test]
    fn a_file_that_grew_by_many_lines_is_written_anew_while_it_is_in_use() {
        actix_rt::System::new().block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("switches");
            let (journal, _) = Journal::open(&path).unwrap();
            let many = (1..=LINES_MAX as u64).map(|generation| row("all", generation)).collect();
            journal.append(many).await.unwrap();
            journal.append(vec![row("team:tv", 1)]).await.unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
            let (_, replayed) = Journal::open(&path).unwrap();
            assert_eq!(replayed.rows, [row("all", LINES_MAX as u64), row("team:tv", 1)]);
        });
    }

    #[test]
    fn a_file_cut_off_anywhere_keeps_every_whole_line() {
        let (first, second) = (line(&row("all", 1)), line(&row("team:tv", 1)));
        let whole = [first.clone(), second].concat();
        for end in 0..=whole.len() {
            let replayed = replay(&whole[..end]);
            // The line's end itself may be missing: the checksum says that the line is whole.
            let expected = usize::from(end + 1 >= first.len()) + usize::from(end + 1 >= whole.len());
            assert_eq!(replayed.rows.len(), expected, "cut at {end}");
        }
    }

    #[test]
    fn a_flipped_byte_costs_its_own_line_alone() {
        let whole = [line(&row("all", 1)), line(&row("team:tv", 1))].concat();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            let replayed = replay(&bytes);
            assert!(replayed.damaged >= 1, "flipped at {at}");
            let joined = whole[at] == b'\n' && at + 1 < whole.len();
            assert_eq!(replayed.rows.len(), usize::from(!joined), "flipped at {at}");
        }
    }
}
