//! The statements, each once.
//!
//! Invariant: what changes a row under a condition is never a plain write anywhere else.
//! Not here: the tables (`schema`).

/// What each statement is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// A read or a write that may be repeated.
    Plain,
    /// A read that finishes what is being decided.
    Deciding,
    /// A conditional write, or a part of one.
    Conditional,
}

macro_rules! statements {
    ($($name:ident $how:ident $text:literal;)*) => {
        /// The statements, by name.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub(super) enum Ask { $($name),* }

        pub(super) const ASKS: &[(Ask, How, &str)] = &[$((Ask::$name, How::$how, $text)),*];
    };
}

// `KS.` stands for the keyspace.
statements! {
    Version Plain "SELECT version FROM KS.schema_version WHERE id = 'schema'";
    Head Deciding "SELECT seq, active, latest, deploy, deleted FROM KS.scripts WHERE script = ? LIMIT 1";
    Heads Plain "SELECT DISTINCT script, seq, active, latest, deploy, deleted FROM KS.scripts";
    Step Deciding "SELECT body FROM KS.scripts WHERE script = ? AND kind = 'step' AND number = ?";
    Steps Plain "SELECT body FROM KS.scripts WHERE script = ? AND kind = 'step' LIMIT ?";
    StepsBetween Plain "SELECT body FROM KS.scripts WHERE script = ? AND kind = 'step' AND number > ? \
        AND number <= ?";
    Revision Plain "SELECT body FROM KS.scripts WHERE script = ? AND kind = 'revision' AND number = ?";
    Revisions Plain "SELECT body FROM KS.scripts WHERE script = ? AND kind = 'revision' AND number < ? LIMIT ?";
    MoveHead Conditional "UPDATE KS.scripts SET seq = ?, active = ?, latest = ?, deploy = ?, deleted = ? \
        WHERE script = ? IF seq = ?";
    AddStep Conditional "INSERT INTO KS.scripts (script, kind, number, body) VALUES (?, 'step', ?, ?)";
    AddRevision Conditional "INSERT INTO KS.scripts (script, kind, number, body) VALUES (?, 'revision', ?, ?)";
    Bundle Plain "SELECT sum, size, body FROM KS.bundles WHERE hash = ?";
    PutBundle Plain "INSERT INTO KS.bundles (hash, sum, size, body) VALUES (?, ?, ?, ?)";
    Unit Plain "SELECT sum, size, body FROM KS.units WHERE hash = ? AND fingerprint = ?";
    PutUnit Plain "INSERT INTO KS.units (hash, fingerprint, sum, size, body) VALUES (?, ?, ?, ?, ?)";
    Part Plain "SELECT body FROM KS.parts WHERE sum = ? AND part = ?";
    PutPart Plain "INSERT INTO KS.parts (sum, part, body) VALUES (?, ?, ?)";
    Route Deciding "SELECT script FROM KS.routes WHERE pattern = ?";
    Claim Conditional "INSERT INTO KS.routes (pattern, script) VALUES (?, ?) IF NOT EXISTS";
    Release Conditional "DELETE FROM KS.routes WHERE pattern = ? IF script = ?";
    Switch Deciding "SELECT stamp, body FROM KS.switches WHERE id = ?";
    Switches Plain "SELECT id, body FROM KS.switches";
    AddSwitch Conditional "INSERT INTO KS.switches (id, stamp, body, audit) VALUES (?, ?, ?, ?) IF NOT EXISTS";
    MoveSwitch Conditional "UPDATE KS.switches SET stamp = ?, body = ?, audit = ? WHERE id = ? IF stamp = ?";
    Token Deciding "SELECT stamp, body FROM KS.tokens WHERE id = ?";
    Tokens Plain "SELECT id, body FROM KS.tokens";
    AddToken Conditional "INSERT INTO KS.tokens (id, stamp, body, audit) VALUES (?, ?, ?, ?) IF NOT EXISTS";
    MoveToken Conditional "UPDATE KS.tokens SET stamp = ?, body = ?, audit = ? WHERE id = ? IF stamp = ?";
    Quota Deciding "SELECT stamp, body FROM KS.quotas WHERE id = ?";
    Quotas Plain "SELECT id, body FROM KS.quotas";
    AddQuota Conditional "INSERT INTO KS.quotas (id, stamp, body, audit) VALUES (?, ?, ?, ?) IF NOT EXISTS";
    MoveQuota Conditional "UPDATE KS.quotas SET stamp = ?, body = ?, audit = ? WHERE id = ? IF stamp = ?";
    Lease Conditional "INSERT INTO KS.leases (hash, fingerprint, node) VALUES (?, ?, ?) IF NOT EXISTS \
        USING TTL ?";
    Unlease Conditional "DELETE FROM KS.leases WHERE hash = ? AND fingerprint = ? IF node = ?";
    PutNode Plain "INSERT INTO KS.nodes (fleet, name, body) VALUES ('all', ?, ?) USING TTL ?";
    DropNode Plain "DELETE FROM KS.nodes WHERE fleet = 'all' AND name = ?";
    Nodes Plain "SELECT name, body FROM KS.nodes WHERE fleet = 'all'";
    Changes Plain "SELECT at, kind, subject, seq FROM KS.changes WHERE bucket = ? AND at >= ?";
    Tell Plain "INSERT INTO KS.changes (bucket, at, id, kind, subject, seq) VALUES (?, ?, ?, ?, ?, ?)";
    Audit Plain "SELECT id, body FROM KS.audit_feed WHERE day = ? LIMIT ?";
    FeedAudit Plain "INSERT INTO KS.audit_feed (day, at, id, body) VALUES (?, ?, ?, ?)";
}
