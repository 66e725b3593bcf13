//! Copies: a whole store as a stream of named parts, and back into any store.
//!
//! Invariant: a copy is made of steps, and is taken step by step through the same conditional commits as a deploy,
//! with the same ids: taking it twice changes nothing, and a script that went another way meanwhile is refused
//! and left as it is. Tokens are no part of it, and neither is bytecode, which any node makes anew.
//! Not here: the file that the parts are in (the server's command line).

use std::collections::HashSet;

use bytes::Bytes;
use quotas::scope::ScriptId;
use runtime::archive::ArchiveLimits;
use runtime::bundle::{Bundle, BundleHash};
use serde::{Deserialize, Serialize};

use super::records::{
    AuditEntry, Claimed, Commit, Committed, ContentHash, ContentKind, Move, QuotaRow, Revision, Seen,
    SwitchRow,
};
use super::rows::{AuditRow, Kept, MoveRow, RevisionRow, StoredQuota, StoredSwitch};
use super::store::{READ_MAX, Store};
use crate::error::StoreError;
use crate::routes::claims;
use crate::who::Who;

/// The newest format that this program reads. It writes the oldest that says all: the first one knew no switches but
/// kill switches, and who reads it would take every other one for such a one.
const FORMAT: u32 = 2;
const ABOUT: &str = "export.json";
const BUNDLES: &str = "bundles/";
const SCRIPTS: &str = "scripts/";
const SWITCHES: &str = "switches.json";
const QUOTAS: &str = "quotas.json";
const AUDIT: &str = "audit.json";

/// One part of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name, a path.
    pub name: String,
    /// What is in it.
    pub bytes: Bytes,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Scripts, deleted ones too.
    pub scripts: usize,
    /// Steps of their histories; of a copy that is taken, those that were not there yet.
    pub steps: usize,
    /// Switches, released ones too.
    pub switches: usize,
    /// Scopes whose quotas were set, those that were taken back too.
    pub quotas: usize,
    /// Scripts that were left as they are, and why.
    pub refused: Vec<(ScriptId, String)>,
}

#[derive(Serialize, Deserialize)]
struct About {
    format: u32,
}

/// A step with the revision that it made, if it made one.
#[derive(Serialize, Deserialize)]
struct Line {
    step: MoveRow,
    revision: Option<RevisionRow>,
}

/// Makes a copy; `take` is given one part after the other.
///
/// # Errors
/// The store does not answer, something in it cannot be read, or `take` fails.
pub async fn export(
    store: &dyn Store,
    mut take: impl FnMut(Part) -> Result<(), StoreError>,
) -> Result<Copied, StoreError> {
    let mut part = |name: String, bytes: Bytes| take(Part { name, bytes });
    let switches = store.switches().await?;
    let format = switches.iter().map(Kept::version).max().unwrap_or(1);
    part(ABOUT.to_owned(), json(&About { format })?)?;
    let mut copied = Copied::default();
    let mut written = HashSet::new();
    for (script, head) in store.heads().await? {
        let lines = history(store, &script, head.seq).await?;
        for revision in lines.iter().filter_map(|(_, revision)| revision.as_ref()) {
            if written.insert(revision.bundle) {
                let files = store.content(&ContentKind::Bundle, revision.bundle).await?;
                let files = files.ok_or_else(|| {
                    StoreError::corrupt(
                        format_args!("bundle {} of {script}", revision.bundle),
                        "it is missing",
                    )
                })?;
                part(format!("{BUNDLES}{}", revision.bundle), files)?;
            }
        }
        copied.scripts += 1;
        copied.steps += lines.len();
        let lines: Vec<Line> = lines
            .into_iter()
            .map(|(step, revision)| Line {
                step: step.to_row(),
                revision: revision.map(|revision| revision.to_row()),
            })
            .collect();
        part(format!("{SCRIPTS}{script}.json"), json(&lines)?)?;
    }
    copied.switches = switches.len();
    part(SWITCHES.to_owned(), json(&switches.iter().map(Kept::to_row).collect::<Vec<_>>())?)?;
    let quotas = store.quotas().await?;
    copied.quotas = quotas.len();
    part(QUOTAS.to_owned(), json(&quotas.iter().map(Kept::to_row).collect::<Vec<_>>())?)?;
    let audit = store.audit(None, READ_MAX).await?;
    part(AUDIT.to_owned(), json(&audit.iter().map(Kept::to_row).collect::<Vec<_>>())?)?;
    Ok(copied)
}

/// A script's steps, each with the revision that it made: the first step whose latest it is made it.
async fn history(
    store: &dyn Store,
    script: &ScriptId,
    to: u64,
) -> Result<Vec<(Move, Option<Revision>)>, StoreError> {
    let mut history: Vec<(Move, Option<Revision>)> = Vec::new();
    loop {
        let seq = history.last().map_or(0, |(step, _)| step.head.seq);
        if seq >= to {
            return Ok(history);
        }
        let steps = store.steps(script, seq, READ_MAX).await?;
        if steps.is_empty() {
            let missing = format_args!("step {} of {script}", seq + 1);
            return Err(StoreError::corrupt(missing, "it is missing"));
        }
        for step in steps {
            let before = history.last().and_then(|(step, _)| step.head.latest);
            let revision = match step.head.latest.filter(|latest| before != Some(*latest)) {
                Some(number) => {
                    let missing =
                        || StoreError::corrupt(format_args!("revision {script}@{number}"), "it is missing");
                    Some(store.revision(script, number).await?.ok_or_else(missing)?)
                }
                None => None,
            };
            history.push((step, revision));
        }
    }
}

/// Takes a copy, part by part, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Import {
    begun: bool,
    copied: Copied,
}

impl Import {
    /// Takes one part.
    ///
    /// # Errors
    /// The part is not one of a copy, or of a newer format; the store does not answer. Taking the copy again
    /// goes on where it ended.
    pub async fn take(&mut self, store: &dyn Store, part: Part) -> Result<(), StoreError> {
        let Part { name, bytes } = part;
        if !self.begun {
            let about: About = match name.as_str() {
                ABOUT => read(&name, &bytes)?,
                _ => {
                    return Err(StoreError::invalid(format_args!(
                        "this is no export: it begins with `{name}`"
                    )));
                }
            };
            if about.format > FORMAT {
                return Err(StoreError::Schema { found: about.format, wanted: FORMAT });
            }
            self.begun = true;
            return Ok(());
        }
        if let Some(hash) = name.strip_prefix(BUNDLES) {
            return bundle(store, hash, bytes).await;
        }
        if let Some(script) = name.strip_prefix(SCRIPTS).and_then(|name| name.strip_suffix(".json")) {
            let script = script.parse().map_err(StoreError::invalid)?;
            return self.script(store, script, read(&name, &bytes)?).await;
        }
        match name.as_str() {
            SWITCHES => self.switches(store, read(&name, &bytes)?).await,
            QUOTAS => self.quotas(store, read(&name, &bytes)?).await,
            AUDIT => notes(store, read(&name, &bytes)?).await,
            _ => Err(StoreError::invalid(format_args!("`{name}` is no part of an export"))),
        }
    }

    /// What was taken.
    pub fn done(self) -> Copied {
        self.copied
    }

    async fn script(
        &mut self,
        store: &dyn Store,
        script: ScriptId,
        lines: Vec<Line>,
    ) -> Result<(), StoreError> {
        self.copied.scripts += 1;
        let mut active = None;
        for Line { step, revision } in lines {
            let Move { head, audit } = record(&script, step)?;
            let revision = revision.map(|row| record::<Revision>(&script, row)).transpose()?;
            let commit = Commit {
                script: script.clone(),
                expected_seq: head.seq.saturating_sub(1),
                deploy: head.deploy,
                active: head.active,
                revision,
                deleted: head.deleted,
                audit,
            };
            let before = store.head(&script).await?.map_or(0, |head| head.seq);
            match store.commit(&commit).await? {
                Committed::Applied(made) => self.copied.steps += usize::from(made.seq > before),
                Committed::Lost { .. } => {
                    let why = format!("its step {} is another one here", head.seq);
                    self.copied.refused.push((script, why));
                    return Ok(());
                }
            }
            active = head.active.filter(|_| !head.deleted);
        }
        let Some(number) = active else { return Ok(()) };
        let Some(revision) = store.revision(&script, number).await? else { return Ok(()) };
        let routes = routes(store, revision.bundle).await?;
        if let Claimed::Taken { pattern, owner } = store.claim_routes(&script, &routes).await? {
            self.copied.refused.push((script, format!("{pattern} is answered by {owner} here")));
        }
        Ok(())
    }

    async fn switches(&mut self, store: &dyn Store, rows: Vec<StoredSwitch>) -> Result<(), StoreError> {
        for row in rows {
            let row: SwitchRow = record(&SWITCHES, row)?;
            let what = if row.off { "switch.off" } else { "switch.on" };
            let audit = Who::node("import").entry(what, row.id(), Some(row.reason.clone()));
            store.put_switch(&row, Seen::All, &audit).await?;
            self.copied.switches += 1;
        }
        Ok(())
    }

    async fn quotas(&mut self, store: &dyn Store, rows: Vec<StoredQuota>) -> Result<(), StoreError> {
        for row in rows {
            let row: QuotaRow = record(&QUOTAS, row)?;
            let audit = Who::node("import").entry("quota.set", &row.scope, None);
            // One that was changed here later stays.
            store.put_quota(&row, &audit).await?;
            self.copied.quotas += 1;
        }
        Ok(())
    }
}

/// Takes the entries that are of no script: those come with its steps.
async fn notes(store: &dyn Store, rows: Vec<AuditRow>) -> Result<(), StoreError> {
    let present = store.audit(None, READ_MAX).await?;
    let present: HashSet<&str> = present.iter().map(|entry| entry.id.as_str()).collect();
    for row in rows {
        let entry: AuditEntry = record(&AUDIT, row)?;
        let is_of_a_script = entry.what.starts_with("revision.") || entry.what.starts_with("script.");
        if !is_of_a_script && !present.contains(entry.id.as_str()) {
            store.note(&entry).await?;
        }
    }
    Ok(())
}

async fn bundle(store: &dyn Store, hash: &str, bytes: Bytes) -> Result<(), StoreError> {
    let key: ContentHash = hash.parse()?;
    let read = Bundle::from_archive(&bytes, &ArchiveLimits::default());
    if !read.is_ok_and(|bundle| bundle.hash() == BundleHash::from_bytes(key.0)) {
        return Err(StoreError::corrupt(
            format_args!("bundle {hash}"),
            "its files are not those of its name",
        ));
    }
    store.put_content(&ContentKind::Bundle, key, bytes).await
}

/// The routes of a bundle in the store.
async fn routes(store: &dyn Store, hash: ContentHash) -> Result<Vec<String>, StoreError> {
    let missing = || StoreError::corrupt(format_args!("bundle {hash}"), "it is missing");
    let files = store.content(&ContentKind::Bundle, hash).await?.ok_or_else(missing)?;
    let bundle = Bundle::from_archive(&files, &ArchiveLimits::default())
        .map_err(|found| StoreError::corrupt(format_args!("bundle {hash}"), found.render(false)))?;
    Ok(bundle.manifest().endpoints.iter().flat_map(claims).collect())
}

fn record<T: Kept>(key: &dyn std::fmt::Display, row: T::Row) -> Result<T, StoreError> {
    T::from_row(row).map_err(|why| StoreError::corrupt(format_args!("{} {key}", T::WHAT), why))
}

fn json(value: &impl Serialize) -> Result<Bytes, StoreError> {
    serde_json::to_vec_pretty(value).map(Bytes::from).map_err(StoreError::invalid)
}

fn read<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::corrupt(format_args!("`{name}`"), error))
}
