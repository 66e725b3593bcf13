//! Blame: which revisions brought the process down, and for how long they are set aside for it.
//!
//! Who was on the thread that crashed or hung is to blame. Where that is not known, all that were on a thread are
//! suspects: each bears its share of one death, which halves with every window that passes, and of all suspects of a
//! death only the one who bears most is set aside, so that the next death tells more.
//!
//! Invariant: pure; time is an argument, in milliseconds of wall-clock time. A suspect is never set aside for one
//! death alone. What is remembered is bounded.
//! Not here: finding out who ran (the warden), refusing the calls (`quarantine`).

pub mod safe_mode;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scope::{EndpointId, RevisionNumber};

/// How much a suspect bears before it is set aside, in deaths.
pub const SUSPICION_MOST: f64 = 1.5;
/// The first time that a revision is set aside, and the longest.
const TERMS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(60 * 60)];
/// Each time is so many times the one before.
const GROWTH: u32 = 4;
/// After so long without a death all is forgotten, in milliseconds.
const FORGET: u64 = 24 * 60 * 60 * 1_000;
/// How many revisions are remembered.
const RECORDS_MAX: usize = 1_024;
/// How many deaths of one are remembered with what happened.
const DEATHS_MAX: usize = 16;
/// How many of them a reason tells.
const TOLD_MAX: usize = 4;

/// A revision of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Culprit {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The revision that ran.
    pub revision: RevisionNumber,
}

/// Who is to blame for a death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blame {
    /// This one, for certain.
    Exact(Culprit),
    /// One of these, perhaps.
    Suspects(Vec<Culprit>),
    /// No script.
    Nobody,
}

/// When a revision is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// After so many deaths that were its own.
    pub deaths: u32,
    /// Within this time.
    pub window: Duration,
}

/// What is known of one revision. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Its own deaths: when, and what happened. The oldest are forgotten.
    pub deaths: Vec<(u64, String)>,
    /// What it bore as a suspect, in deaths, when it was last one.
    pub suspicion: f64,
    /// When it was last a suspect.
    pub suspected: u64,
    /// How often it was set aside.
    pub terms: u32,
    /// Since when it is, or was last, set aside.
    pub since: u64,
    /// Until when.
    pub until: u64,
    /// Why.
    pub reason: String,
}

impl Record {
    /// Whether it is set aside.
    pub fn stands(&self, now: u64) -> bool {
        now < self.until
    }

    fn own(&self, now: u64, rules: &Rules) -> usize {
        let since = now.saturating_sub(millis(rules.window));
        self.deaths.iter().filter(|(at, _)| *at >= since).count()
    }

    fn borne(&self, now: u64, rules: &Rules) -> f64 {
        let windows = now.saturating_sub(self.suspected) as f64 / millis(rules.window).max(1) as f64;
        self.suspicion * 0.5_f64.powf(windows)
    }

    /// It was set aside not long ago: the next death of its own is one too many.
    fn is_on_probation(&self, now: u64, rules: &Rules) -> bool {
        self.terms > 0 && now < self.until.saturating_add(millis(rules.window))
    }

    fn last(&self) -> u64 {
        self.deaths.last().map_or(0, |(at, _)| *at).max(self.suspected).max(self.until)
    }

    fn set_aside(&mut self, now: u64, reason: String) {
        self.since = now;
        self.until = now.saturating_add(millis(term(self.terms)));
        self.terms += 1;
        self.reason = reason;
    }
}

/// How long a revision is set aside that was so often before.
pub fn term(before: u32) -> Duration {
    let [first, longest] = TERMS;
    let times = GROWTH.checked_pow(before).unwrap_or(u32::MAX);
    first.saturating_mul(times).min(longest)
}

/// What is known of all revisions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    records: BTreeMap<Culprit, Record>,
}

impl Ledger {
    /// A ledger with these records.
    pub fn of(records: impl IntoIterator<Item = (Culprit, Record)>) -> Self {
        Self { records: records.into_iter().collect() }
    }

    /// All that is known.
    pub fn records(&self) -> impl Iterator<Item = (&Culprit, &Record)> {
        self.records.iter()
    }

    /// Takes a death, with a few words of what happened and when; answers who is set aside for it.
    pub fn take(&mut self, blame: &Blame, what: &str, now: u64, rules: &Rules) -> Option<Culprit> {
        self.forget(now);
        let culprit = match blame {
            Blame::Exact(culprit) => self.own(culprit, what, now, rules),
            Blame::Suspects(suspects) => self.suspect(suspects, what, now, rules),
            Blame::Nobody => None,
        };
        while self.records.len() > RECORDS_MAX {
            let oldest = self.records.iter().min_by_key(|(_, record)| record.last());
            let Some(oldest) = oldest.map(|(culprit, _)| culprit.clone()) else { break };
            self.records.remove(&oldest);
        }
        culprit
    }

    fn own(&mut self, culprit: &Culprit, what: &str, now: u64, rules: &Rules) -> Option<Culprit> {
        let record = self.records.entry(culprit.clone()).or_default();
        if record.deaths.len() >= DEATHS_MAX {
            record.deaths.remove(0);
        }
        record.deaths.push((now, what.to_owned()));
        let (own, most) = (record.own(now, rules), usize::try_from(rules.deaths).unwrap_or(usize::MAX));
        // The deaths that are remembered are enough for any count.
        if own < most.min(DEATHS_MAX) && !record.is_on_probation(now, rules) {
            return None;
        }
        let times = if own == 1 { "again".to_owned() } else { format!("{own} times") };
        record
            .set_aside(now, format!("it brought the process down {times}: {}", listed(&record.deaths, own)));
        Some(culprit.clone())
    }

    fn suspect(&mut self, suspects: &[Culprit], what: &str, now: u64, rules: &Rules) -> Option<Culprit> {
        let share = 1.0 / suspects.len().max(1) as f64;
        let mut most: Option<(f64, &Culprit)> = None;
        for suspect in suspects {
            let record = self.records.entry(suspect.clone()).or_default();
            record.suspicion = record.borne(now, rules) + share;
            record.suspected = now;
            let borne = record.suspicion + record.own(now, rules) as f64;
            if most.is_none_or(|(known, _)| borne > known) {
                most = Some((borne, suspect));
            }
        }
        let (borne, suspect) = most.filter(|(borne, _)| *borne >= SUSPICION_MOST)?;
        let record = self.records.get_mut(suspect)?;
        record
            .set_aside(now, format!("it ran whenever the process died ({borne:.1} deaths), at last: {what}"));
        // It has paid for these.
        record.suspicion = 0.0;
        Some(suspect.clone())
    }

    /// Sets a revision aside for another reason than its own record.
    pub fn set_aside(&mut self, culprit: Culprit, now: u64, term: Duration, reason: String) {
        let record = self.records.entry(culprit).or_default();
        (record.since, record.until) = (now, now.saturating_add(millis(term)).max(record.until));
        record.reason = reason;
    }

    /// Those that are set aside now.
    pub fn standing(&self, now: u64) -> impl Iterator<Item = (&Culprit, &Record)> {
        self.records.iter().filter(move |(_, record)| record.stands(now))
    }

    /// Somebody vouches for an endpoint: all that is known of it is forgotten.
    pub fn lift(&mut self, endpoint: &EndpointId) {
        self.records.retain(|culprit, _| culprit.endpoint != *endpoint);
    }

    fn forget(&mut self, now: u64) {
        self.records.retain(|_, record| now.saturating_sub(record.last()) < FORGET);
    }
}

/// What happened the last so many times, as far as anybody wants to read it.
fn listed(deaths: &[(u64, String)], count: usize) -> String {
    let last = &deaths[deaths.len().saturating_sub(count.min(TOLD_MAX))..];
    last.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>().join(", ")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
