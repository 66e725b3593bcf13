//! The journal of switches: a file on this node that an acknowledged switch is in before its answer.
//!
//! Invariant: when an append has returned, its rows survive kill -9 and a power cut. A line that was cut off
//! or damaged is told from a whole one by its checksum, and costs no other line.
//! Not here: which row wins (`verdicts`), the store.
//!
//! A line is 16 hex digits of the BLAKE3 hash of the rest, a blank, and the row as JSON. At the start the
//! newest row of each scope is written to a new file, which then takes the place of the old one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use quotas::scope::Scope;
use serde::{Deserialize, Serialize};

use crate::storage::SwitchRow;
use crate::verdicts;

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
    file: File,
    /// The last write failed, so the file may end within a line.
    torn: bool,
}

impl Journal {
    /// Opens the journal, makes it where there is none, and reads it. Blocks.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<(Self, Replayed)> {
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
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
        let mut compacted = File::create(&fresh)?;
        for row in &replayed.rows {
            compacted.write_all(&line(row))?;
        }
        compacted.sync_all()?;
        std::fs::rename(&fresh, path)?;
        File::open(directory)?.sync_all()?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok((Self { file: Arc::new(Mutex::new(Open { file, torn: false })) }, replayed))
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
        self.torn = true;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.torn = false;
        Ok(())
    }
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
    Replayed { rows: verdicts::newest(rows).into_values().collect(), damaged }
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
