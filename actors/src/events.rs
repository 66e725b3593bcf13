//! Events: what happened on a node, each at one place the log's line and the counter.
//!
//! Invariant: an event is told once, in the past tense, with bounded fields; nothing is logged beside it.
//! Not here: what happens in a single call (`metrics`).

use std::sync::atomic::{AtomicU64, Ordering};

use quotas::rule::Rule;
use quotas::scope::{EndpointId, RevisionNumber, Scope, ScriptId};
use quotas::switches::SwitchId;
use quotas::units::Bytes;
use runtime::bundle::BundleHash;
use runtime::host::call::{Level, LogLine};

use crate::lane::CallFailure;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty),* } = $text:literal, $level:ident;)*) => {
        /// Something that happened.
        #[derive(Debug, Clone, Copy)]
        pub enum Event<'a> {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $kind),* },)*
        }

        /// The name of every event.
        pub const NAMES: &[&str] = &[$($text),*];

        static COUNTS: [AtomicU64; NAMES.len()] = [const { AtomicU64::new(0) }; NAMES.len()];

        impl Event<'_> {
            /// The stable name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $text,)*
                }
            }

            fn log(&self) {
                match self {
                    $(Self::$name { $($field),* } => tracing::$level!($($field = %$field,)* "{}", $text),)*
                }
            }
        }
    };
}

events! {
    /// A script's routes were changed.
    DeployApplied {
        /// The script.
        script: &'a ScriptId,
        /// The head's sequence number.
        seq: u64,
        /// How many endpoints it has now.
        endpoints: usize
    } = "deploy applied", info;
    /// A change of a script was not made.
    DeployRefused {
        /// The script.
        script: &'a ScriptId,
        /// Why.
        code: &'static str
    } = "deploy refused", info;
    /// What the store says of a script could not be served; what ran before goes on.
    ScriptRejected {
        /// The script.
        script: &'a ScriptId,
        /// Why.
        code: &'static str,
        /// More of it.
        detail: &'a str
    } = "script rejected", warn;
    /// One endpoint of a script could not be served.
    EndpointRejected {
        /// The endpoint.
        endpoint: &'a EndpointId,
        /// Why.
        code: &'static str
    } = "endpoint rejected", warn;
    /// A switch was set.
    SwitchFlipped {
        /// Which.
        switch: &'a SwitchId,
        /// By whom.
        by: &'a str,
        /// The count of its changes.
        generation: u64
    } = "switch flipped", warn;
    /// A switch was released.
    SwitchReleased {
        /// Which.
        switch: &'a SwitchId,
        /// By whom.
        by: &'a str,
        /// The count of its changes.
        generation: u64
    } = "switch released", warn;
    /// A switch reached the store.
    SwitchStored {
        /// Which.
        switch: &'a SwitchId,
        /// The count of its changes.
        generation: u64
    } = "switch stored", info;
    /// The journal could not be written.
    JournalFailed {
        /// What the file system said.
        detail: &'a str
    } = "journal failed", error;
    /// Lines of the journal could not be read at the start.
    JournalDamaged {
        /// How many.
        lines: usize
    } = "journal damaged", error;
    /// A stored unit was not taken.
    UnitRejected {
        /// Its bundle.
        bundle: BundleHash,
        /// Why.
        code: &'static str
    } = "unit rejected", warn;
    /// A unit was compiled from what is stored.
    UnitRecompiled {
        /// Its bundle.
        bundle: BundleHash
    } = "unit recompiled", info;
    /// The store does not answer any more.
    StoreLost {
        /// Why.
        code: &'static str,
        /// More of it.
        detail: &'a str
    } = "store lost", warn;
    /// The store answers again.
    StoreFound {
        /// After how many attempts.
        attempts: u32
    } = "store found", info;
    /// The embedded store's file had failed, and is used again.
    StoreReopened {
        /// How it had failed.
        why: &'a str
    } = "store opened again", warn;
    /// What this node serves could not be kept on its own disk.
    MirrorFailed {
        /// Why.
        code: &'static str,
        /// More of it.
        detail: &'a str
    } = "mirror failed", error;
    /// The node serves what it kept on its own disk; the store is compared with it when it answers.
    MirrorServed {
        /// How many scripts.
        scripts: usize,
        /// How long ago it was last compared with the store, in seconds.
        age: u64
    } = "mirror served", warn;
    /// A stored row could not be read; it was left out, and its neighbours were not.
    RowRejected {
        /// Which row, and what is wrong with it.
        detail: &'a str,
        /// The kind of error.
        code: &'static str
    } = "row rejected", error;
    /// The store lacks scripts that are served, and no mark says that they were taken away: they go on.
    ScriptsMissing {
        /// How many.
        missing: usize,
        /// How many are served.
        served: usize
    } = "scripts missing", error;
    /// Claims of routes could not be given back; the next change of the script does it.
    ClaimsKept {
        /// The script.
        script: &'a ScriptId,
        /// Why.
        code: &'static str
    } = "claims kept", warn;
    /// The actor of an endpoint failed and was made anew.
    EndpointFailed {
        /// The endpoint.
        endpoint: &'a EndpointId,
        /// The revision.
        revision: RevisionNumber
    } = "endpoint failed", error;
    /// A call left memory behind that nobody can free: something in the script holds itself in a way that is not seen.
    /// Told of the first such call of a revision.
    MemoryLeft {
        /// The endpoint.
        endpoint: &'a EndpointId,
        /// The revision.
        revision: RevisionNumber,
        /// How much.
        bytes: Bytes
    } = "memory left behind", warn;
    /// An endpoint runs on other threads from now on: on those of everybody, or apart from them.
    EndpointMoved {
        /// The endpoint.
        endpoint: &'a EndpointId,
        /// The revision.
        revision: RevisionNumber,
        /// What it was moved for; `fast` when it came back.
        pace: &'static str
    } = "endpoint moved", info;
    /// An endpoint presses the node, and something was done about it, or would have been.
    EndpointBlamed {
        /// The endpoint.
        endpoint: &'a EndpointId,
        /// The revision.
        revision: RevisionNumber,
        /// What was done.
        act: &'static str
    } = "endpoint blamed", warn;
    /// What was done about an endpoint was undone.
    EndpointPardoned {
        /// The endpoint.
        endpoint: &'a EndpointId,
        /// The revision.
        revision: RevisionNumber,
        /// What had been done.
        act: &'static str
    } = "endpoint pardoned", warn;
    /// An endpoint was set aside.
    EndpointQuarantined {
        /// The endpoint.
        endpoint: &'a EndpointId,
        /// The revision.
        revision: RevisionNumber
    } = "endpoint quarantined", error;
    /// The process before this one died, or hung and was ended.
    ProcessDied {
        /// What happened, and to whom it is put down.
        detail: &'a str
    } = "process died", error;
    /// A quarantine was ended.
    QuarantineLifted {
        /// The endpoint.
        endpoint: &'a EndpointId,
        /// By whom.
        by: &'a str
    } = "quarantine lifted", warn;
    /// The quotas of a scope were changed.
    QuotaChanged {
        /// The scope.
        scope: &'a Scope,
        /// The count of its changes.
        generation: u64
    } = "quota changed", warn;
    /// A budget's soft limit was reached.
    BudgetNearlyUsed {
        /// Whose.
        scope: &'a Scope,
        /// Which.
        rule: Rule
    } = "budget nearly used", warn;
    /// Another node of the fleet has this one's name; the others see only one of the two.
    NodeNameTaken {
        /// The name.
        node: &'a str,
        /// Where the other one's admin door is.
        admin: &'a str
    } = "node name taken", error;
    /// Another node of the fleet says that its admin door is where this one's is: who asks it is answered by one of the
    /// two, and notices.
    NodeAddressTaken {
        /// The other one.
        node: &'a str,
        /// The address.
        admin: &'a str
    } = "node address taken", error;
    /// Another node of the fleet signs with a key that this one does not have: neither runs what the other compiled, and
    /// they do not answer each other.
    NodeKeyUnknown {
        /// The node.
        node: &'a str,
        /// Where its admin door is.
        admin: &'a str
    } = "node key unknown", error;
    /// The node takes no calls any more.
    NodeDrained {
        /// Its name.
        node: &'a str
    } = "node drained", info;
}

impl Event<'_> {
    /// Tells it: one line in the log, one more in its counter.
    pub fn tell(self) {
        if let Some(place) = NAMES.iter().position(|name| *name == self.name()) {
            COUNTS[place].fetch_add(1, Ordering::Relaxed);
        }
        self.log();
    }
}

/// Tells what a script logged in one call, for the team that owns it. It is no event: a script may say much.
pub(crate) fn script_said(
    endpoint: &EndpointId,
    revision: RevisionNumber,
    request: &str,
    lines: &[LogLine],
    dropped: u32,
) {
    for LogLine { level, text } in lines {
        match level {
            Level::Debug => tracing::debug!(target: "script", %endpoint, %revision, request, "{text}"),
            Level::Info => tracing::info!(target: "script", %endpoint, %revision, request, "{text}"),
            Level::Warn => tracing::warn!(target: "script", %endpoint, %revision, request, "{text}"),
            Level::Error => tracing::error!(target: "script", %endpoint, %revision, request, "{text}"),
        }
    }
    if dropped > 0 {
        tracing::warn!(target: "script", %endpoint, %revision, request, dropped, "lines dropped");
    }
}

/// Tells its owner why a call gave no answer; they find it by the request's id.
pub(crate) fn call_failed(
    endpoint: &EndpointId,
    revision: RevisionNumber,
    request: &str,
    failure: &CallFailure,
) {
    let code = failure.code();
    match failure {
        CallFailure::Script(failure) => {
            tracing::info!(%endpoint, %revision, request, code, detail = %failure, "call failed");
        }
        CallFailure::Unit { detail, .. } => {
            tracing::warn!(%endpoint, %revision, request, code, detail, "unit not loaded");
        }
        CallFailure::Refused(_) | CallFailure::Lost => {
            tracing::info!(%endpoint, %revision, request, code, "call not run");
        }
    }
}

/// How often each event happened in this process.
pub fn counts() -> impl Iterator<Item = (&'static str, u64)> {
    NAMES.iter().zip(&COUNTS).map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_counted_under_its_name() {
        let count = || counts().find(|(name, _)| *name == "node drained").unwrap().1;
        let before = count();
        Event::NodeDrained { node: "a" }.tell();
        assert!(count() > before);
    }

    #[test]
    fn every_event_has_a_name_of_its_own() {
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
    }
}
