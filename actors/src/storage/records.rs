//! What is kept: heads, revisions, switches, tokens and who did what.
//!
//! Invariant: these are plain values; how a row is laid out in a store is no business of theirs (`rows`).
//! Not here: the shapes that cross the wire (`api`).

mod switch;

use std::fmt;
use std::str::FromStr;

use quotas::scope::{RevisionNumber, Scope, ScriptId, TeamName};
use quotas::setting::{Name, Setting};
use quotas::switches::SwitchId;

pub use self::switch::{Seen, SwitchRow, Switched};
use crate::error::StoreError;

/// The id of one deploy, chosen by who asks for it, the same in every retry.
pub type DeployId = uuid::Uuid;

/// The hash that a content is kept under.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The BLAKE3 hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentHash {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hash = blake3::Hash::from_hex(text).map_err(|_| {
            StoreError::invalid(format_args!("`{text}` is not a hash: it has to be 64 hex digits"))
        })?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// The name of an engine build, up to 64 characters: units of one build are of no use to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The longest fingerprint.
    pub const MAX: usize = 64;

    /// Reads a fingerprint: 1 to 64 printable ASCII characters without spaces.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        if text.is_empty() || text.len() > Self::MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(StoreError::invalid(format_args!(
                "`{text}` is not a fingerprint: it has to be 1 to {} printable characters",
                Self::MAX
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// The fingerprint as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a content is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ContentKind {
    /// The files of a script, under the bundle's hash.
    Bundle,
    /// What a bundle was compiled to by one engine build, under the bundle's hash too.
    Unit {
        /// The engine build.
        fingerprint: Fingerprint,
    },
}

/// Where a script stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Counts the commits of the script, from one.
    pub seq: u64,
    /// The revision that answers.
    pub active: Option<RevisionNumber>,
    /// The newest revision.
    pub latest: Option<RevisionNumber>,
    /// The deploy that moved it here.
    pub deploy: DeployId,
    /// Whether the script was taken away. Its history stays, and numbers go on from there.
    pub deleted: bool,
}

/// One state of a script, immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its number in the script.
    pub number: RevisionNumber,
    /// The hash of its files.
    pub bundle: ContentHash,
    /// What its author said about it.
    pub message: String,
    /// A name for it, a version for example.
    pub tag: Option<String>,
    /// Who deployed it.
    pub by: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// The key that makes the same request again the same deploy.
    pub idempotency_key: Option<String>,
    /// The hash of the request, to tell the same request from another one under the same key.
    pub request_hash: Option<ContentHash>,
    /// The names of its endpoints, for the history.
    pub endpoints: Vec<String>,
}

impl AuditEntry {
    /// The same entry, with this about it.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        let mut detail: serde_json::Value = serde_json::from_str(&self.detail).unwrap_or_default();
        detail[name] = value.into();
        self.detail = detail.to_string();
        self
    }
}

/// Who did what, when, from where and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// A ULID.
    pub id: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// Who did it.
    pub who: String,
    /// The address they came from.
    pub from: String,
    /// What they did, as a verb: `revision.deploy`.
    pub what: String,
    /// The scope it was done to, as text.
    pub subject: String,
    /// The reason they gave.
    pub why: Option<String>,
    /// More, as JSON text.
    pub detail: String,
}

/// One step of a script: what the head should become if it is still where the caller saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The script.
    pub script: ScriptId,
    /// The head's sequence number that this was decided on; zero for none yet.
    pub expected_seq: u64,
    /// The id of this deploy.
    pub deploy: DeployId,
    /// The revision that is to answer.
    pub active: Option<RevisionNumber>,
    /// A new revision.
    pub revision: Option<Revision>,
    /// Whether the script is taken away.
    pub deleted: bool,
    /// Who does it.
    pub audit: AuditEntry,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It is stored; this is the head that it made.
    Applied(Head),
    /// The head was elsewhere; nothing of it is stored.
    Lost {
        /// The head as it is.
        present: Option<Head>,
    },
}

/// What came of claiming routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// All are the script's.
    All,
    /// One belongs to another script; none was claimed.
    Taken {
        /// The pattern.
        pattern: String,
        /// The script that has it.
        owner: ScriptId,
    },
}

/// What was set of a scope's quotas, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaRow {
    /// What it is about.
    pub scope: Scope,
    /// Counts the changes of the scope.
    pub generation: u64,
    /// What is set, of each name at most one rule that lasts and one that ends; nothing when all of it was taken
    /// back, so that an older change cannot come back.
    pub rules: Vec<QuotaRule>,
}

/// One thing that was set, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaRule {
    /// What.
    pub name: Name,
    /// To what.
    pub setting: Setting,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// Until when, in Unix milliseconds.
    pub until_ms: Option<u64>,
}

impl QuotaRule {
    /// Whether its time is not over.
    pub fn holds(&self, now_ms: u64) -> bool {
        self.until_ms.is_none_or(|until| until > now_ms)
    }
}

impl QuotaRow {
    /// What is in force of it: one rule of each name. One that ends comes before one that lasts, which is in force
    /// again afterwards.
    pub fn in_force(&self, now_ms: u64) -> impl Iterator<Item = &QuotaRule> {
        let ends = move |rule: &QuotaRule| rule.until_ms.is_some() && rule.holds(now_ms);
        let covered = move |name| self.rules.iter().any(|rule| rule.name == name && ends(rule));
        self.rules.iter().filter(move |rule| ends(rule) || rule.until_ms.is_none() && !covered(rule.name))
    }

    /// Whether this row replaces that one: each change is based on the one before it, and comes after that alone.
    pub fn replaces(&self, present: &Self) -> bool {
        self.generation > present.generation
    }
}

/// A token as it is kept: its hash, never the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id, which may be shown.
    pub id: String,
    /// The hash of the secret.
    pub hash: [u8; 32],
    /// What it allows.
    pub role: String,
    /// The team it is bound to.
    pub team: Option<TeamName>,
    /// What it is for.
    pub note: String,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: Option<u64>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// One step in a script's history: the head that it made, and who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The head that it made.
    pub head: Head,
    /// Who made it.
    pub audit: AuditEntry,
}

/// A node as the others know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name in the fleet.
    pub name: String,
    /// Where its admin door is, as a URL; empty when it does not say.
    pub admin: String,
    /// The version of the program.
    pub version: String,
    /// The engine build, which decides whose units it can use.
    pub build: String,
    /// Since when it runs, in Unix milliseconds.
    pub started_ms: u64,
    /// When it last made itself known, in Unix milliseconds.
    pub seen_ms: u64,
    /// The name of the key that it signs with; older programs do not say.
    pub key: Option<String>,
}

/// Something that changed in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A script's head reached this sequence number.
    Script(ScriptId, u64),
    /// A switch was flipped.
    Switch(SwitchId),
    /// A token was added or changed.
    Tokens,
    /// The quotas of a scope were changed.
    Quota(Scope),
}

/// How far a reader of [`changes`](super::Store::changes) has come. The default starts at the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(pub(super) u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_what_it_writes() {
        let hash = ContentHash::of(b"x");
        assert_eq!(hash.to_string().parse::<ContentHash>(), Ok(hash));
        assert_eq!("12".parse::<ContentHash>().map_err(|e| e.code()), Err("store.invalid"));
    }

    #[test]
    fn a_fingerprint_is_short_and_printable() {
        assert!(Fingerprint::parse(&"a".repeat(64)).is_ok());
        for text in [String::new(), "a".repeat(65), "a b".into(), "ä".into()] {
            assert!(Fingerprint::parse(&text).is_err(), "{text}");
        }
    }
}
