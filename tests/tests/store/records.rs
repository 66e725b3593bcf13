//! Records as a team's first day would make them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use actors::storage::{AuditEntry, Commit, ContentHash, DeployId, QuotaRow, QuotaRule, Revision, SwitchRow};
use quotas::budget::BudgetKind;
use quotas::scope::{RevisionNumber, Scope, ScriptId};
use quotas::setting::{Name, Setting};

pub fn script(text: &str) -> ScriptId {
    ScriptId::parse(text).unwrap()
}

pub fn number(number: u64) -> RevisionNumber {
    RevisionNumber::new(number).unwrap()
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

static MADE: AtomicU64 = AtomicU64::new(0);

/// An id that sorts by when it was made.
fn fresh_id() -> String {
    format!("01{:014}{:010}", now_ms(), MADE.fetch_add(1, Ordering::Relaxed))
}

pub fn audit(what: &str, subject: &str) -> AuditEntry {
    AuditEntry {
        id: fresh_id(),
        at_ms: now_ms(),
        who: "ada".into(),
        from: "127.0.0.1".into(),
        what: what.into(),
        subject: subject.into(),
        why: Some("because".into()),
        detail: "{}".into(),
    }
}

/// A commit of a new revision, which becomes active.
pub fn commit(script: &ScriptId, expected_seq: u64, revision: u64) -> Commit {
    let revision = Revision {
        number: number(revision),
        bundle: ContentHash::of(&revision.to_be_bytes()),
        message: format!("revision {revision}"),
        tag: (revision == 1).then(|| "first".to_owned()),
        by: "ada".into(),
        at_ms: now_ms(),
        idempotency_key: Some(format!("key-{revision}")),
        request_hash: Some(ContentHash::of(b"request")),
        endpoints: vec!["home".into(), "tiles".into()],
    };
    let active = Some(revision.number.get());
    Commit { revision: Some(revision), ..step(script, expected_seq, active) }
}

/// A commit without a new revision.
pub fn step(script: &ScriptId, expected_seq: u64, active: Option<u64>) -> Commit {
    Commit {
        script: script.clone(),
        expected_seq,
        deploy: DeployId::new_v4(),
        active: active.map(number),
        revision: None,
        deleted: false,
        audit: audit("revision.deploy", &format!("script:{script}")),
    }
}

pub fn switch(scope: &Scope, generation: u64, off: bool) -> SwitchRow {
    SwitchRow {
        scope: scope.clone(),
        effect: quotas::switches::Effect::Kill,
        off,
        generation,
        by: "ada".into(),
        reason: format!("generation {generation}"),
        // No two are alike, however fast they are made.
        since_ms: now_ms() + MADE.fetch_add(1, Ordering::Relaxed),
        until_ms: Some(now_ms() + 1000),
        observe: false,
    }
}

pub fn quota(scope: &str, generation: u64, limit: u64) -> QuotaRow {
    let setting = Setting { limit: Some(limit), soft_percent: Some(70), observe: true };
    let rule = QuotaRule {
        name: Name::Budget(BudgetKind::FuelDay),
        setting,
        by: "ana".to_owned(),
        reason: "a test".to_owned(),
        since_ms: 7,
        until_ms: Some(9),
    };
    QuotaRow { scope: Scope::parse(scope).unwrap(), generation, rules: vec![rule] }
}
