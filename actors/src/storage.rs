//! Storage: what has to outlive the process, behind one trait with two backends.
//!
//! Invariant: both backends keep the same promises; one suite in `tests/` is run on each.
//! Not here: caches, who asks for what and when.

pub mod copy;
pub mod embedded;
pub mod mirror;
pub mod records;
pub mod scylla;
pub mod store;

mod moves;
mod rows;

pub use self::embedded::Embedded;
pub use self::mirror::Mirror;
pub use self::records::{
    AuditEntry, Change, Claimed, Commit, Committed, ContentHash, ContentKind, Cursor, DeployId, Fingerprint,
    Head, Move, NodeRow, QuotaRow, QuotaRule, Revision, Seen, SwitchRow, Switched, TokenRow,
};
pub use self::scylla::{CqlConfig, CqlConsistency, CqlSerial, Scylla};
pub use self::store::{Kept, Store};
