//! The journal of switches: a file on this node that an acknowledged switch is in before its answer.
//!
//! Invariant: when an append has returned, its rows survive kill -9 and a power cut. A line that was cut off
//! or damaged is told from a whole one by its checksum, and costs no other line.
//! Not here: which row wins (`verdicts`), the store.
//!
//! A line is 16 hex digits of the BLAKE3 hash of the rest, a blank, and JSON: a row, or a mark that says whether the
//! store has a row. The mark that it may not stands before its row, so that no line that is cut off makes a row look
//! stored; a row without marks is, as rows were before there were marks. At the start, and whenever it has grown by many lines, the newest row of each switch is written to a new
//! file, which then takes the place of the old one; of releases the newest are kept.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use quotas::scope::Scope;
use quotas::switches::{Effect, Kind, SwitchId};
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
    /// Absent for `kill`, so that an older program reads what it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

/// A mark as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    switch: String,
    generation: u64,
    stored: bool,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A switch is like this.
    Row(SwitchRow),
    /// This generation of a switch may not be in the store.
    Unstored(SwitchId, u64),
    /// This generation of a switch is in the store.
    Stored(SwitchId, u64),
}

/// What the journal said when it was opened.
#[derive(Debug)]
pub struct Replayed {
    /// The newest row of each switch.
    pub rows: Vec<SwitchRow>,
    /// Those of them that the store may not have.
    pub unstored: HashSet<SwitchId>,
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

    /// Adds lines; they are on the disk when this returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn append(&self, entries: Vec<Entry>) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        let written = crate::blocking::run(move || {
            file.lock().unwrap_or_else(PoisonError::into_inner).append(&entries)
        });
        written.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Open {
    fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut bytes = Vec::new();
        if self.torn {
            bytes.push(b'\n');
        }
        entries.iter().for_each(|entry| bytes.extend_from_slice(&line(entry)));
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("the file was taken away while it was in use"));
        }
        self.torn = true;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.torn = false;
        self.added += entries.len();
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
    for entry in replayed.entries() {
        compacted.write_all(&line(&entry))?;
    }
    compacted.into_inner()?.sync_all()?;
    std::fs::rename(&fresh, path)?;
    File::open(directory)?.sync_all()?;
    Ok((OpenOptions::new().append(true).open(path)?, replayed))
}

impl Replayed {
    /// What says the same in as few lines as may be.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.rows.iter().flat_map(|row| {
            let mark = self.unstored.get(&row.id()).map(|id| Entry::Unstored(id.clone(), row.generation));
            mark.into_iter().chain([Entry::Row(row.clone())])
        })
    }
}

/// The bytes of a line.
pub(crate) fn line(entry: &Entry) -> Vec<u8> {
    let mark = |id: &SwitchId, generation: &u64, stored| {
        let mark = Mark { switch: id.to_string(), generation: *generation, stored };
        serde_json::to_string(&mark)
    };
    let json = match entry {
        Entry::Unstored(id, generation) => mark(id, generation, false),
        Entry::Stored(id, generation) => mark(id, generation, true),
        Entry::Row(row) => {
            let kind = row.effect.kind();
            serde_json::to_string(&Line {
                scope: row.scope.to_string(),
                off: row.off,
                generation: row.generation,
                by: row.by.clone(),
                reason: row.reason.clone(),
                since_ms: row.since_ms,
                until_ms: row.until_ms,
                observe: row.observe,
                kind: (kind != Kind::Kill).then(|| kind.to_string()),
                level: row.effect.level().map(|level| level.to_string()),
                limit: row.effect.limit().map(|calls| calls.get().into()),
            })
        }
    };
    let json = json.expect("texts and numbers encode");
    format!("{} {json}\n", sum(json.as_bytes())).into_bytes()
}

fn sum(json: &[u8]) -> String {
    blake3::hash(json).to_hex()[..16].to_owned()
}

/// What these lines say.
pub(crate) fn replay(bytes: &[u8]) -> Replayed {
    let mut damaged = 0;
    let (mut rows, mut marks) = (Vec::new(), HashSet::new());
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match read(line) {
            Some(Entry::Row(row)) => rows.push(row),
            Some(Entry::Unstored(id, generation)) => drop(marks.insert((id, generation))),
            Some(Entry::Stored(id, generation)) => drop(marks.remove(&(id, generation))),
            None => damaged += 1,
        }
    }
    let rows = verdicts::remembered(verdicts::newest(rows), RELEASED_MAX);
    let is_marked = |row: &&SwitchRow| marks.contains(&(row.id(), row.generation));
    let unstored = rows.iter().filter(is_marked).map(SwitchRow::id).collect();
    Replayed { rows, unstored, damaged }
}

fn read(line: &[u8]) -> Option<Entry> {
    let (said, rest) = line.split_at_checked(16)?;
    let json = rest.strip_prefix(b" ")?;
    if said != sum(json).as_bytes() {
        return None;
    }
    if let Ok(Mark { switch, generation, stored }) = serde_json::from_slice(json) {
        let id = switch.parse().ok()?;
        return Some(if stored { Entry::Stored(id, generation) } else { Entry::Unstored(id, generation) });
    }
    let line: Line = serde_json::from_slice(json).ok()?;
    let kind = line.kind.map_or(Some(Kind::Kill), |kind| kind.parse().ok())?;
    Some(Entry::Row(SwitchRow {
        scope: Scope::parse(&line.scope).ok()?,
        effect: Effect::of(kind, line.level.as_deref(), line.limit).ok()?,
        off: line.off,
        generation: line.generation,
        by: line.by,
        reason: line.reason,
        since_ms: line.since_ms,
        until_ms: line.until_ms,
        observe: line.observe,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(scope: &str, generation: u64) -> SwitchRow {
        SwitchRow {
            scope: Scope::parse(scope).unwrap(),
            effect: Effect::Kill,
            off: true,
            generation,
            by: "ana".to_owned(),
            reason: "a\nb \u{0}".to_owned(),
            since_ms: 7,
            until_ms: Some(9),
            observe: false,
        }
    }

    fn said(scope: &str, generation: u64) -> Entry {
        Entry::Row(row(scope, generation))
    }

    #[test]
    fn a_line_from_before_there_were_kinds_is_a_kill_switch_and_one_of_a_kind_unknown_is_none() {
        let old = r#"{"scope":"team:tv","off":true,"generation":3,"by":"ana","reason":"r","since_ms":7,"until_ms":null,"observe":false}"#;
        let written = |json: &str| format!("{} {json}\n", sum(json.as_bytes())).into_bytes();
        let replayed = replay(&written(old));
        let expected = SwitchRow { reason: "r".to_owned(), until_ms: None, ..row("team:tv", 3) };
        assert_eq!((replayed.rows, replayed.unstored.len()), (vec![expected.clone()], 0));
        // And it is written as it was, for a program that knows no other.
        assert_eq!(line(&Entry::Row(expected)), written(old));
        let newer = old.replace("\"observe\":false", "\"observe\":false,\"kind\":\"moon\"");
        let replayed = replay(&[written(&newer), line(&said("all", 1))].concat());
        assert_eq!((replayed.rows, replayed.damaged), (vec![row("all", 1)], 1));
    }

    #[test]
    fn every_kind_is_read_as_it_was_written_and_so_is_what_the_store_may_lack() {
        let cap = Effect::Cap(quotas::units::InFlight::new(5).unwrap());
        let shed = Effect::Shed(quotas::priority::Priority::Background);
        let effects = [Effect::Freeze, shed, Effect::Fallback, Effect::LastGood, cap];
        let rows: Vec<_> =
            effects.into_iter().map(|effect| SwitchRow { effect, ..row("team:tv", 1) }).collect();
        let freeze = rows[0].id();
        let mut bytes: Vec<u8> = rows.iter().flat_map(|row| line(&Entry::Row(row.clone()))).collect();
        bytes.extend(line(&Entry::Unstored(freeze.clone(), 1)));
        let replayed = replay(&bytes);
        assert_eq!((replayed.rows.len(), replayed.damaged), (rows.len(), 0));
        assert!(rows.iter().all(|row| replayed.rows.contains(row)));
        assert_eq!(replayed.unstored, HashSet::from([freeze.clone()]));
        let again: Vec<u8> = replayed.entries().flat_map(|entry| line(&entry)).collect();
        assert_eq!(replay(&again).unstored, replayed.unstored);
        // A mark is about its own generation.
        bytes.extend(line(&Entry::Stored(freeze.clone(), 1)));
        assert!(replay(&bytes).unstored.is_empty());
        bytes.extend(line(&Entry::Unstored(freeze.clone(), 1)));
        bytes.extend(line(&Entry::Row(SwitchRow { generation: 2, ..rows[0].clone() })));
        assert!(replay(&bytes).unstored.is_empty());
        bytes.extend(line(&Entry::Unstored(freeze.clone(), 2)));
        bytes.extend(line(&Entry::Stored(freeze.clone(), 1)));
        assert_eq!(replay(&bytes).unstored, HashSet::from([freeze]));
    }

    #[test]
    fn what_was_appended_is_there_after_opening_again() {
        actix_rt::System::new().block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("deep/switches");
            let (journal, replayed) = Journal::open(&path).unwrap();
            assert!(replayed.rows.is_empty());
            journal.append(vec![said("all", 1), said("team:tv", 1)]).await.unwrap();
            journal.append(vec![said("all", 2)]).await.unwrap();
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
            let many = (1..=LINES_MAX as u64).map(|generation| said("all", generation)).collect();
            journal.append(many).await.unwrap();
            journal.append(vec![said("team:tv", 1)]).await.unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
            let (_, replayed) = Journal::open(&path).unwrap();
            assert_eq!(replayed.rows, [row("all", LINES_MAX as u64), row("team:tv", 1)]);
        });
    }

    #[test]
    fn a_file_cut_off_anywhere_keeps_every_whole_line() {
        let (first, second) = (line(&said("all", 1)), line(&said("team:tv", 1)));
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
        let whole = [line(&said("all", 1)), line(&said("team:tv", 1))].concat();
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
