//! The feeds: what changed lately, and who did what, by time.
//!
//! Invariant: they are written after what they tell of, and a failure to write them fails nothing: the sweep of
//! the heads and the script's own steps have it all.
//! Not here: anything that has to be complete.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quotas::scope::Scope;
use uuid::Uuid;

use super::super::records::{AuditEntry, Change, Cursor};
use super::super::rows::{decode, encode, unless_damaged};
use super::super::store::READ_MAX;
use super::Scylla;
use super::asks::Ask;
use super::found::{Line, limit, signed};
use super::link::Links;
use crate::error::StoreError;

/// The width of a bucket of changes.
const BUCKET_MS: u64 = 60_000;
/// How far a reader goes back before its cursor: the clocks of nodes differ, and a write takes its time.
const OVERLAP_MS: u64 = 15_000;
/// How far a reader goes back at most; what is older is for the sweep.
const BACK_MS: u64 = 10 * 60_000;
/// How far ahead of a reader's clock a writer's may be.
const AHEAD_MS: u64 = 15_000;
/// How often a change of unknown outcome is tried to be told, and how far apart.
const TELLS: usize = 5;
const TELL_AGAIN: Duration = Duration::from_secs(2);
const DAY_MS: u64 = 86_400_000;
/// How many days a reader of the audit goes back.
const DAYS_BACK: u64 = 31;

impl Scylla {
    pub(super) async fn tell(&self, change: &Change) {
        if let Err(error) = tell(&self.links, change).await {
            tracing::warn!(%error, ?change, "a change was stored but not told: the sweep will");
        }
    }

    /// Tells, in the background, of a change that nobody knows to be made: whoever hears of it looks.
    pub(super) fn tell_of_unknown(&self, change: Change) {
        let links = self.links.clone();
        tokio::spawn(async move {
            for _ in 0..TELLS {
                if tell(&links, &change).await.is_ok() {
                    return;
                }
                tokio::time::sleep(TELL_AGAIN).await;
            }
        });
    }

    pub(super) async fn read_changes(&self, since: &Cursor) -> Result<(Vec<Change>, Cursor), StoreError> {
        let now = now_ms();
        let from = if since.0 == 0 { now } else { since.0.clamp(now.saturating_sub(BACK_MS), now) };
        let from = from.saturating_sub(OVERLAP_MS);
        let link = self.links.now()?;
        let (mut changes, mut seen) = (Vec::new(), HashSet::new());
        for bucket in from / BUCKET_MS..=(now + AHEAD_MS) / BUCKET_MS {
            let found = link.ask(Ask::Changes, (signed(bucket)?, signed(from)?)).await?;
            for line in found.lines() {
                // A kind that a newer program tells of is no concern of this one.
                let Some(change) = change(&line) else { continue };
                let key = (line.text("kind").map(str::to_owned), line.text("subject").map(str::to_owned));
                if seen.insert((key, line.large("seq"))) {
                    changes.push(change);
                }
            }
        }
        Ok((changes, Cursor(now)))
    }

    pub(super) async fn feed_audit(&self, audit: &AuditEntry) {
        if let Err(error) = self.write_audit(audit).await {
            tracing::warn!(%error, id = audit.id, what = audit.what, "an audit entry is missing in the feed");
        }
    }

    pub(super) async fn write_audit(&self, audit: &AuditEntry) -> Result<(), StoreError> {
        let (day, at) = (signed(audit.at_ms / DAY_MS)?, signed(audit.at_ms)?);
        self.links.now()?.ask(Ask::FeedAudit, (day, at, &*audit.id, encode(audit)?)).await.map(drop)
    }

    pub(super) async fn read_audit_feed(&self, most: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let most = most.min(READ_MAX);
        let link = self.links.now()?;
        let mut newest = Vec::new();
        // A writer's clock may be past midnight already.
        let newest_day = (now_ms() + AHEAD_MS) / DAY_MS;
        for day in (newest_day.saturating_sub(DAYS_BACK)..=newest_day).rev() {
            let left = most - newest.len();
            if left == 0 {
                break;
            }
            let found = link.ask(Ask::Audit, (signed(day)?, limit(left))).await?;
            for line in found.lines() {
                let id = line.text("id").unwrap_or_default();
                newest.extend(unless_damaged(decode(&id, line.bytes("body").unwrap_or_default())));
            }
        }
        Ok(newest)
    }
}

async fn tell(links: &Links, change: &Change) -> Result<(), StoreError> {
    let now = now_ms();
    let (kind, subject, seq) = match change {
        Change::Script(script, seq) => ("script", script.to_string(), Some(*seq)),
        Change::Switch(id) => ("switch", id.to_string(), None),
        Change::Tokens => ("tokens", String::new(), None),
        Change::Quota(scope) => ("quota", scope.to_string(), None),
    };
    let seq = seq.map(signed).transpose()?;
    let values = (signed(now / BUCKET_MS)?, signed(now)?, Uuid::new_v4(), kind, &*subject, seq);
    links.now()?.ask(Ask::Tell, values).await.map(drop)
}

fn change(line: &Line<'_>) -> Option<Change> {
    let subject = line.text("subject").unwrap_or_default();
    match line.text("kind")? {
        "script" => Some(Change::Script(subject.parse().ok()?, line.large("seq")?.try_into().ok()?)),
        "switch" => Some(Change::Switch(subject.parse().ok()?)),
        "tokens" => Some(Change::Tokens),
        "quota" => Some(Change::Quota(Scope::parse(subject).ok()?)),
        _ => None,
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
