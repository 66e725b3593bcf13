//! How rows are laid out in a store: MessagePack with names, each under the version of its format.
//!
//! Invariant: a row that a newer program wrote is refused, never half understood; a field may be added with a
//! default, anything else takes a new version.
//! Not here: keys and tables (`embedded`, `scylla`).

use quotas::scope::{RevisionNumber, Scope};
use quotas::setting::Setting;
use quotas::switches::{Effect, Kind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::records::{
    AuditEntry, ContentHash, DeployId, Head, Move, NodeRow, QuotaRow, QuotaRule, Revision, SwitchRow,
    TokenRow,
};
use super::store::ROW_MAX;
use crate::error::StoreError;
use crate::events::Event;

/// A record that is kept as one row.
pub(super) trait Kept: Sized {
    /// What a row is called in an error.
    const WHAT: &'static str;
    /// The version that is written, and the newest that is read.
    const VERSION: u32;
    /// The layout.
    type Row: Serialize + DeserializeOwned;

    /// The version that this record is written in: an older one where an older program can read it as it is meant.
    fn version(&self) -> u32 {
        Self::VERSION
    }
    fn to_row(&self) -> Self::Row;
    /// The record, or what is wrong with the row.
    fn from_row(row: Self::Row) -> Result<Self, String>;
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    row: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// The bytes of a row.
pub(super) fn encode<T: Kept>(record: &T) -> Result<Vec<u8>, StoreError> {
    let bytes = rmp_serde::to_vec_named(&Versioned { version: record.version(), row: record.to_row() })
        .map_err(|error| StoreError::invalid(format_args!("{} cannot be written: {error}", T::WHAT)))?;
    if bytes.len() > ROW_MAX {
        return Err(StoreError::TooLarge { what: T::WHAT.to_owned(), size: bytes.len(), most: ROW_MAX });
    }
    Ok(bytes)
}

/// The record in a row's bytes; `key` names the row in an error.
pub(super) fn decode<T: Kept>(key: &dyn std::fmt::Display, bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: format!("{} {key}", T::WHAT), why };
    if bytes.len() > ROW_MAX {
        return Err(corrupt(format!("it has {} bytes, more than any row", bytes.len())));
    }
    let head: VersionOnly = rmp_serde::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
    if head.version > T::VERSION {
        return Err(StoreError::Schema { found: head.version, wanted: T::VERSION });
    }
    let row: Versioned<T::Row> = rmp_serde::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
    T::from_row(row.row).map_err(corrupt)
}

/// A record that is read among others: one that cannot be read is told of and left out.
pub(super) fn unless_damaged<T>(record: Result<T, StoreError>) -> Option<T> {
    record.map_err(|error| Event::RowRejected { detail: &error.to_string(), code: error.code() }.tell()).ok()
}

#[derive(Serialize, Deserialize)]
pub(super) struct HeadRow {
    seq: u64,
    active: Option<u64>,
    latest: Option<u64>,
    deploy: String,
    deleted: bool,
}

impl Kept for Head {
    const WHAT: &'static str = "head";
    const VERSION: u32 = 1;
    type Row = HeadRow;

    fn to_row(&self) -> HeadRow {
        HeadRow {
            seq: self.seq,
            active: self.active.map(RevisionNumber::get),
            latest: self.latest.map(RevisionNumber::get),
            deploy: self.deploy.to_string(),
            deleted: self.deleted,
        }
    }

    fn from_row(row: HeadRow) -> Result<Self, String> {
        Ok(Self {
            seq: row.seq,
            active: row.active.map(number).transpose()?,
            latest: row.latest.map(number).transpose()?,
            deploy: DeployId::parse_str(&row.deploy).map_err(text)?,
            deleted: row.deleted,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct MoveRow {
    head: HeadRow,
    audit: AuditRow,
}

impl Kept for Move {
    const WHAT: &'static str = "step";
    const VERSION: u32 = 1;
    type Row = MoveRow;

    fn to_row(&self) -> MoveRow {
        MoveRow { head: self.head.to_row(), audit: self.audit.to_row() }
    }

    fn from_row(row: MoveRow) -> Result<Self, String> {
        Ok(Self { head: Head::from_row(row.head)?, audit: AuditEntry::from_row(row.audit)? })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct RevisionRow {
    number: u64,
    bundle: String,
    message: String,
    tag: Option<String>,
    by: String,
    at_ms: u64,
    idempotency_key: Option<String>,
    request_hash: Option<String>,
    endpoints: Vec<String>,
}

impl Kept for Revision {
    const WHAT: &'static str = "revision";
    const VERSION: u32 = 1;
    type Row = RevisionRow;

    fn to_row(&self) -> RevisionRow {
        RevisionRow {
            number: self.number.get(),
            bundle: self.bundle.to_string(),
            message: self.message.clone(),
            tag: self.tag.clone(),
            by: self.by.clone(),
            at_ms: self.at_ms,
            idempotency_key: self.idempotency_key.clone(),
            request_hash: self.request_hash.map(|hash| hash.to_string()),
            endpoints: self.endpoints.clone(),
        }
    }

    fn from_row(row: RevisionRow) -> Result<Self, String> {
        Ok(Self {
            number: number(row.number)?,
            bundle: row.bundle.parse().map_err(text)?,
            message: row.message,
            tag: row.tag,
            by: row.by,
            at_ms: row.at_ms,
            idempotency_key: row.idempotency_key,
            request_hash: row
                .request_hash
                .map(|hash| hash.parse::<ContentHash>())
                .transpose()
                .map_err(text)?,
            endpoints: row.endpoints,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct AuditRow {
    id: String,
    at_ms: u64,
    who: String,
    from: String,
    what: String,
    subject: String,
    why: Option<String>,
    detail: String,
}

impl Kept for AuditEntry {
    const WHAT: &'static str = "audit entry";
    const VERSION: u32 = 1;
    type Row = AuditRow;

    fn to_row(&self) -> AuditRow {
        let Self { id, at_ms, who, from, what, subject, why, detail } = self.clone();
        AuditRow { id, at_ms, who, from, what, subject, why, detail }
    }

    fn from_row(row: AuditRow) -> Result<Self, String> {
        let AuditRow { id, at_ms, who, from, what, subject, why, detail } = row;
        Ok(Self { id, at_ms, who, from, what, subject, why, detail })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredSwitch {
    scope: String,
    off: bool,
    generation: u64,
    by: String,
    reason: String,
    since_ms: u64,
    until_ms: Option<u64>,
    observe: bool,
    /// Absent for `kill`, which was the only one in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

impl Kept for SwitchRow {
    const WHAT: &'static str = "switch";
    const VERSION: u32 = 2;
    type Row = StoredSwitch;

    /// A program that knows only version 1 refuses what it would take for a kill switch, and leaves it out.
    fn version(&self) -> u32 {
        let is_new = matches!(self.scope, Scope::Region(_) | Scope::Node(_));
        if self.effect == Effect::Kill && !is_new { 1 } else { 2 }
    }

    fn to_row(&self) -> StoredSwitch {
        let Self { scope, effect, off, generation, by, reason, since_ms, until_ms, observe } = self.clone();
        let kind = Some(effect.kind()).filter(|kind| *kind != Kind::Kill).map(|kind| kind.to_string());
        let level = effect.level().map(|level| level.to_string());
        let limit = effect.limit().map(|calls| calls.get().into());
        let scope = scope.to_string();
        StoredSwitch { scope, off, generation, by, reason, since_ms, until_ms, observe, kind, level, limit }
    }

    fn from_row(row: StoredSwitch) -> Result<Self, String> {
        let StoredSwitch { scope, off, generation, by, reason, since_ms, until_ms, observe, .. } = row;
        let scope: Scope = scope.parse().map_err(text)?;
        let kind = row.kind.map_or(Ok(Kind::Kill), |kind| kind.parse()).map_err(text)?;
        kind.fits(&scope).map_err(text)?;
        let effect = Effect::of(kind, row.level.as_deref(), row.limit).map_err(text)?;
        Ok(Self { scope, effect, off, generation, by, reason, since_ms, until_ms, observe })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredQuota {
    scope: String,
    generation: u64,
    rules: Vec<StoredRule>,
}

#[derive(Serialize, Deserialize)]
struct StoredRule {
    name: String,
    limit: Option<u64>,
    soft_percent: Option<u8>,
    observe: bool,
    by: String,
    reason: String,
    since_ms: u64,
    until_ms: Option<u64>,
}

impl Kept for QuotaRow {
    const WHAT: &'static str = "quota";
    const VERSION: u32 = 1;
    type Row = StoredQuota;

    fn to_row(&self) -> StoredQuota {
        let rule = |rule: &QuotaRule| StoredRule {
            name: rule.name.to_string(),
            limit: rule.setting.limit,
            soft_percent: rule.setting.soft_percent,
            observe: rule.setting.observe,
            by: rule.by.clone(),
            reason: rule.reason.clone(),
            since_ms: rule.since_ms,
            until_ms: rule.until_ms,
        };
        StoredQuota {
            scope: self.scope.to_string(),
            generation: self.generation,
            rules: self.rules.iter().map(rule).collect(),
        }
    }

    fn from_row(row: StoredQuota) -> Result<Self, String> {
        let rule = |rule: StoredRule| {
            let StoredRule { name, limit, soft_percent, observe, by, reason, since_ms, until_ms } = rule;
            let setting = Setting { limit, soft_percent, observe };
            Ok(QuotaRule { name: name.parse().map_err(text)?, setting, by, reason, since_ms, until_ms })
        };
        Ok(Self {
            scope: row.scope.parse().map_err(text)?,
            generation: row.generation,
            rules: row.rules.into_iter().map(rule).collect::<Result<_, String>>()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredToken {
    id: String,
    hash: String,
    role: String,
    team: Option<String>,
    note: String,
    created_ms: u64,
    expires_ms: Option<u64>,
    revoked: bool,
}

impl Kept for TokenRow {
    const WHAT: &'static str = "token";
    const VERSION: u32 = 1;
    type Row = StoredToken;

    fn to_row(&self) -> StoredToken {
        StoredToken {
            id: self.id.clone(),
            hash: ContentHash(self.hash).to_string(),
            role: self.role.clone(),
            team: self.team.as_ref().map(ToString::to_string),
            note: self.note.clone(),
            created_ms: self.created_ms,
            expires_ms: self.expires_ms,
            revoked: self.revoked,
        }
    }

    fn from_row(row: StoredToken) -> Result<Self, String> {
        Ok(Self {
            id: row.id,
            hash: row.hash.parse::<ContentHash>().map_err(text)?.0,
            role: row.role,
            team: row.team.map(|team| team.parse()).transpose().map_err(text)?,
            note: row.note,
            created_ms: row.created_ms,
            expires_ms: row.expires_ms,
            revoked: row.revoked,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredNode {
    name: String,
    admin: String,
    version: String,
    build: String,
    started_ms: u64,
    seen_ms: u64,
    #[serde(default)]
    key: Option<String>,
}

impl Kept for NodeRow {
    const WHAT: &'static str = "node";
    const VERSION: u32 = 1;
    type Row = StoredNode;

    fn to_row(&self) -> StoredNode {
        let Self { name, admin, version, build, started_ms, seen_ms, key } = self.clone();
        StoredNode { name, admin, version, build, started_ms, seen_ms, key }
    }

    fn from_row(row: StoredNode) -> Result<Self, String> {
        let StoredNode { name, admin, version, build, started_ms, seen_ms, key } = row;
        Ok(Self { name, admin, version, build, started_ms, seen_ms, key })
    }
}

fn number(number: u64) -> Result<RevisionNumber, String> {
    RevisionNumber::new(number).ok_or_else(|| "a revision's number is zero".to_owned())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> TokenRow {
        TokenRow {
            id: "t1".into(),
            hash: [7; 32],
            role: "deployer".into(),
            team: Some("tv".parse().unwrap()),
            note: "ci".into(),
            created_ms: 1,
            expires_ms: Some(2),
            revoked: false,
        }
    }

    #[test]
    fn a_row_reads_what_it_writes() {
        let bytes = encode(&token()).unwrap();
        assert_eq!(decode::<TokenRow>(&"t1", &bytes), Ok(token()));
    }

    #[test]
    fn a_row_of_a_newer_format_is_refused() {
        let bytes = rmp_serde::to_vec_named(&Versioned { version: 2, row: "something else" }).unwrap();
        assert_eq!(decode::<TokenRow>(&"t1", &bytes), Err(StoreError::Schema { found: 2, wanted: 1 }));
    }

    fn switch(effect: Effect, scope: &str) -> SwitchRow {
        SwitchRow {
            scope: scope.parse().unwrap(),
            effect,
            off: true,
            generation: 1,
            by: "ana".into(),
            reason: "runaway".into(),
            since_ms: 1,
            until_ms: None,
            observe: false,
        }
    }

    /// What the program knew before there were kinds.
    #[derive(Serialize, Deserialize)]
    struct SwitchOfVersion1 {
        scope: String,
        off: bool,
        generation: u64,
        by: String,
        reason: String,
        since_ms: u64,
        until_ms: Option<u64>,
        observe: bool,
    }

    #[test]
    fn an_older_program_reads_a_kill_switch_and_takes_nothing_else_for_one() {
        let version =
            |row: &SwitchRow| rmp_serde::from_slice::<VersionOnly>(&encode(row).unwrap()).unwrap().version;
        let kill = switch(Effect::Kill, "team:tv");
        assert_eq!(version(&kill), 1);
        let old: Versioned<SwitchOfVersion1> = rmp_serde::from_slice(&encode(&kill).unwrap()).unwrap();
        assert_eq!((old.row.scope.as_str(), old.row.off, old.row.generation), ("team:tv", true, 1));
        let back = rmp_serde::to_vec_named(&Versioned { version: 1, row: old.row }).unwrap();
        assert_eq!(decode::<SwitchRow>(&"team:tv", &back), Ok(kill));
        let cap = Effect::Cap(quotas::units::InFlight::new(7).unwrap());
        for newer in [
            switch(Effect::Freeze, "team:tv"),
            switch(Effect::Shed(quotas::priority::Priority::Prefetch), "all"),
            switch(cap, "endpoint:tv/home/home"),
            switch(Effect::Kill, "region:eu"),
            switch(Effect::Kill, "node:tv-7"),
        ] {
            assert_eq!(version(&newer), 2, "{newer:?}");
            assert_eq!(decode::<SwitchRow>(&"", &encode(&newer).unwrap()), Ok(newer));
        }
    }

    #[test]
    fn a_switch_of_an_unknown_kind_is_left_out_and_is_no_kill_switch() {
        let mut row = switch(Effect::Freeze, "team:tv").to_row();
        row.kind = Some("moon".into());
        let bytes = rmp_serde::to_vec_named(&Versioned { version: 2, row }).unwrap();
        assert_eq!(decode::<SwitchRow>(&"", &bytes).map_err(|error| error.code()), Err("store.corrupt"));
    }

    #[test]
    fn a_damaged_row_is_named() {
        let bytes = encode(&token()).unwrap();
        for cut in 0..bytes.len() {
            let error = decode::<TokenRow>(&"t1", &bytes[..cut]).unwrap_err();
            assert!(error.to_string().starts_with("token t1 is stored but cannot be read"), "{error}");
        }
    }

    #[test]
    fn a_row_is_bounded() {
        let large = TokenRow { note: "x".repeat(ROW_MAX), ..token() };
        assert_eq!(encode(&large).map_err(|e| e.code()), Err("store.too_large"));
    }
}
