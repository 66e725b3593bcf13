//! Book: what the warden knows of deaths, kept in a file so that no restart forgets it, and told to each child.
//!
//! Invariant: the file is replaced as a whole; one that cannot be read costs what it said and keeps nobody from
//! serving. A death is told until a child served that was told of it.
//! Not here: deciding (`quotas::blame`), refusing calls (the child).

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quotas::blame::safe_mode::{self, Unexplained};
use quotas::blame::{Blame, Culprit, Ledger, Record, Rules};
use quotas::scope::EndpointId;
use serde::{Deserialize, Serialize};

use super::autopsy::Autopsy;
use crate::process::talk::{AsideLine, Brief, DeathLine, culprit};

/// The file's name in the data directory.
const FILE: &str = "crashes.json";
/// The window in which crashes count.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// How many deaths are told at most.
const TOLD_MAX: usize = 64;

/// The book.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    rules: Rules,
    ledger: Ledger,
    unexplained: Unexplained,
    /// Deaths and sentences that no child was told of yet.
    deaths: Vec<DeathLine>,
    news: BTreeSet<Culprit>,
}

/// A record as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    endpoint: String,
    revision: u64,
    deaths: Vec<(u64, String)>,
    suspicion: f64,
    suspected_ms: u64,
    terms: u32,
    since_ms: u64,
    until_ms: u64,
    reason: String,
}

impl Book {
    /// Opens the book in this directory; `crashes` set a revision aside.
    pub fn open(directory: &Path, crashes: u32) -> Self {
        let path = directory.join(FILE);
        let rows = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Vec<Row>>(&bytes).unwrap_or_else(|error| {
                tracing::error!(file = %path.display(), %error, "the book of crashes cannot be read");
                Vec::new()
            }),
            Err(_) => Vec::new(),
        };
        Self {
            path,
            rules: Rules { deaths: crashes, window: WINDOW },
            ledger: Ledger::of(rows.into_iter().filter_map(Row::record)),
            unexplained: Unexplained::default(),
            deaths: Vec::new(),
            news: BTreeSet::new(),
        }
    }

    /// Takes a death, at this time in Unix milliseconds; answers what is to be said of it.
    pub fn take(&mut self, found: &Autopsy, now_ms: u64) -> String {
        let what = format!("{} at {}", found.what, time(now_ms));
        if let Some(culprit) = self.ledger.take(&found.blame, &what, now_ms, &self.rules) {
            self.news.insert(culprit);
        }
        if found.is_unexplained() {
            for (culprit, [at, deaths]) in self.unexplained.take(found.ran.clone(), now_ms) {
                let reason =
                    format!("safe mode: it ran at {at} of the last {deaths} deaths that nothing explains");
                self.ledger.set_aside(culprit.clone(), now_ms, safe_mode::TERM, reason);
                self.news.insert(culprit);
            }
        }
        let to_whom = match &found.blame {
            Blame::Exact(culprit) => {
                format!("put down to {} revision {}", culprit.endpoint, culprit.revision)
            }
            Blame::Suspects(suspects) => {
                let suspects =
                    suspects.iter().map(|one| format!("{} revision {}", one.endpoint, one.revision));
                format!("suspected: {}", suspects.collect::<Vec<_>>().join(", "))
            }
            Blame::Nobody => "put down to no script".to_owned(),
        };
        let said = format!("{what}, {to_whom}");
        let culprit = match &found.blame {
            Blame::Exact(culprit) => Some((culprit.endpoint.to_string(), culprit.revision.get())),
            Blame::Suspects(_) | Blame::Nobody => None,
        };
        if self.deaths.len() < TOLD_MAX {
            self.deaths.push(DeathLine { what: said.clone(), culprit });
        }
        self.save();
        said
    }

    /// What the next child is to know.
    pub fn brief(&self, now_ms: u64) -> Brief {
        let mut set_aside: Vec<AsideLine> = self
            .ledger
            .standing(now_ms)
            .map(|(culprit, record)| AsideLine {
                endpoint: culprit.endpoint.to_string(),
                revision: culprit.revision.get(),
                reason: record.reason.clone(),
                since_ms: record.since,
                until_ms: record.until,
                is_new: self.news.contains(culprit),
            })
            .collect();
        // An endpoint has one quarantine: of two revisions the later one's.
        set_aside.sort_by_key(|line| line.since_ms);
        Brief { deaths: self.deaths.clone(), set_aside, takes_over: false }
    }

    /// A child serves that was told all of it.
    pub fn told(&mut self) {
        self.deaths.clear();
        self.news.clear();
    }

    /// An operator vouches for an endpoint.
    pub fn lift(&mut self, endpoint: &EndpointId) {
        self.ledger.lift(endpoint);
        self.save();
    }

    fn save(&self) {
        let rows: Vec<Row> =
            self.ledger.records().map(|(culprit, record)| Row::of(culprit, record)).collect();
        if let Err(error) = write(&self.path, &rows) {
            tracing::error!(file = %self.path.display(), %error, "the book of crashes was not written");
        }
    }
}

fn write(path: &Path, rows: &[Row]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(rows)?)?;
    file.sync_data()?;
    std::fs::rename(&fresh, path)
}

impl Row {
    fn of(culprit: &Culprit, record: &Record) -> Self {
        Self {
            endpoint: culprit.endpoint.to_string(),
            revision: culprit.revision.get(),
            deaths: record.deaths.clone(),
            suspicion: record.suspicion,
            suspected_ms: record.suspected,
            terms: record.terms,
            since_ms: record.since,
            until_ms: record.until,
            reason: record.reason.clone(),
        }
    }

    fn record(self) -> Option<(Culprit, Record)> {
        let culprit = culprit(&self.endpoint, self.revision)?;
        let record = Record {
            deaths: self.deaths,
            suspicion: self.suspicion,
            suspected: self.suspected_ms,
            terms: self.terms,
            since: self.since_ms,
            until: self.until_ms,
            reason: self.reason,
        };
        Some((culprit, record))
    }
}

/// A time as people write it, to the second.
fn time(at_ms: u64) -> String {
    let seconds = i64::try_from(at_ms / 1_000).unwrap_or(0);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| at_ms.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use quotas::scope::RevisionNumber;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn crash() -> Autopsy {
        let endpoint = EndpointId::parse("tv/home/home").unwrap();
        let culprit = Culprit { endpoint, revision: RevisionNumber::first() };
        let (blame, ran) = (Blame::Exact(culprit.clone()), vec![culprit]);
        Autopsy { what: "SIGSEGV".to_owned(), blame, is_outside: false, ran }
    }

    #[test]
    fn what_was_set_aside_is_set_aside_after_a_restart_and_told_as_new_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut book = Book::open(directory.path(), 2);
        let said = book.take(&crash(), NOW);
        assert_eq!(said, "SIGSEGV at 2023-11-14T22:13:20Z, put down to tv/home/home revision 1");
        assert_eq!(book.brief(NOW).set_aside, []);
        book.take(&crash(), NOW + 1_000);
        let brief = book.brief(NOW + 1_000);
        assert_eq!((brief.deaths.len(), brief.set_aside.len()), (2, 1));
        let line = &brief.set_aside[0];
        assert_eq!((&*line.endpoint, line.revision, line.is_new), ("tv/home/home", 1, true));
        assert_eq!(line.until_ms, NOW + 61_000);
        let said = "2 times: SIGSEGV at 2023-11-14T22:13:20Z, SIGSEGV at 2023-11-14T22:13:21Z";
        assert!(line.reason.ends_with(said), "{}", line.reason);
        book.told();
        assert!(book.brief(NOW + 1_000).deaths.is_empty());

        let mut again = Book::open(directory.path(), 2);
        let brief = again.brief(NOW + 2_000);
        assert_eq!((brief.deaths.len(), brief.set_aside.len(), brief.set_aside[0].is_new), (0, 1, false));
        assert_eq!(again.brief(NOW + 61_000).set_aside, [], "its time is over");
        again.lift(&EndpointId::parse("tv/home/home").unwrap());
        assert_eq!(Book::open(directory.path(), 2).brief(NOW + 2_000).set_aside, []);
    }

    #[test]
    fn deaths_that_nothing_explains_lead_to_safe_mode() {
        let directory = tempfile::tempdir().unwrap();
        let mut book = Book::open(directory.path(), 2);
        let unknown = Autopsy { blame: Blame::Nobody, ..crash() };
        (0..4).for_each(|at| drop(book.take(&unknown, NOW + at)));
        assert_eq!(book.brief(NOW).set_aside, []);
        book.take(&unknown, NOW + 4);
        let set_aside = book.brief(NOW + 4).set_aside;
        assert_eq!(set_aside.len(), 1);
        assert!(set_aside[0].reason.starts_with("safe mode: it ran at 5 of the last 5 deaths"));
        let outside = Autopsy { is_outside: true, ..unknown };
        let mut book = Book::open(&directory.path().join("none"), 2);
        (0..9).for_each(|at| drop(book.take(&outside, NOW + at)));
        assert_eq!(book.brief(NOW + 9).set_aside, [], "who is killed from outside did nothing");
    }

    #[test]
    fn a_book_that_cannot_be_read_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), "[{").unwrap();
        assert_eq!(Book::open(directory.path(), 2).brief(NOW), Brief::default());
    }
}
