//! Quotas: what a scope may use, what is used of it on the node that answers, and what operators change of it.

use crate::Time;
use crate::shape::{one_of, shapes};

one_of! {
    /// Whether a rule refuses.
    pub enum QuotaMode ("a quota's mode") {
        /// It refuses what is too much.
        Enforce = "enforce",
        /// It only counts what it would refuse.
        Observe = "observe",
    }

    /// Where a limit comes from.
    pub enum QuotaOrigin ("an origin") {
        /// Nobody said anything.
        Default = "default",
        /// The server's configuration.
        Config = "config",
        /// The script's manifest.
        Manifest = "manifest",
        /// Somebody set it while the server ran.
        Operator = "operator",
    }
}

shapes! {
    answer
    /// What a scope may use, and what is used of it on this node.
    pub struct QuotaState {
        /// The scope.
        pub scope: String,
        /// Its rules; of an endpoint, its team's too.
        pub rules: Vec<QuotaRule>,
        /// The tag of what is set of it, for `If-Match`.
        pub etag: String,
    }

    answer
    /// A rule of a scope and what is left of it.
    pub struct QuotaRule {
        /// The rule's name, as it stands in refusals: `budget.fuel_day.team`.
        pub rule: String,
        /// By which name it is set; absent where it cannot be.
        pub name: Option<String>,
        /// What it allows, in the whole fleet.
        pub limit: String,
        /// This node's part of it; absent where that is the whole.
        pub here: Option<String>,
        /// Of a rate, the calls at once after a quiet time.
        pub burst: Option<u64>,
        /// From how much used on callers are warned.
        pub soft: Option<String>,
        /// What is used of it, on this node.
        pub used: u64,
        /// What is left of it, on this node.
        pub remaining: u64,
        /// When all is left again if nobody calls.
        pub reset_ms: Option<u64>,
        /// Whether it refuses.
        pub mode: QuotaMode,
        /// Calls that it refused on this node since its start.
        pub refused: u64,
        /// Calls that it would have refused while it only observed.
        pub observed: u64,
        /// Where the limit comes from.
        pub source: QuotaSource,
    }

    answer
    /// Where a limit comes from.
    pub struct QuotaSource {
        /// From what.
        pub from: QuotaOrigin,
        /// Who set it, if somebody did.
        pub by: Option<String>,
        /// Why they did.
        pub reason: Option<String>,
        /// Since when.
        pub since: Option<Time>,
        /// Until when; absent until somebody sets it anew.
        pub until: Option<Time>,
    }

    request
    /// What is to be set of a scope's quotas; what is not named stays as it is.
    pub struct QuotaRequest {
        /// The quotas to set.
        pub rules: Vec<QuotaChange>,
        /// Why.
        pub reason: String,
        /// Until when; absent until somebody sets them anew.
        pub until: Option<Time>,
    }

    request
    /// One quota to set.
    pub struct QuotaChange {
        /// Its name: `rate`, `burst`, `concurrency`, `fuel_day`, …
        pub name: String,
        /// The limit: a rate as `500/s`, bytes as `8MiB`, all else a whole number; absent to keep the one that it
        /// has by itself.
        pub limit: Option<String>,
        /// From how many percent of it on callers are warned; budgets only.
        pub soft_percent: Option<u32>,
        /// Whether it refuses; it does where nothing is said.
        pub mode: Option<QuotaMode>,
    }

    answer
    /// What a change of quotas did.
    pub struct QuotaAnswer {
        /// The scope.
        pub scope: String,
        /// What is set of it now.
        pub set: Vec<QuotaSet>,
        /// The tag of that, for `If-Match`.
        pub etag: String,
        /// Whether anything of the scope is on this node; what is not yet, it waits for.
        pub present: bool,
        /// Whether it was only tried.
        pub dry_run: bool,
    }

    answer
    /// What is set of a scope.
    pub struct QuotasSet {
        /// The scope.
        pub scope: String,
        /// What is set of it; of a name that is there twice, what ends is in force until then, and the other after.
        pub set: Vec<QuotaSet>,
        /// The tag of that, for `If-Match`.
        pub etag: String,
        /// Whether anything of the scope is on this node; what is not yet, it waits for.
        pub present: bool,
    }

    answer
    /// One quota that is set.
    pub struct QuotaSet {
        /// Its name.
        pub name: String,
        /// The limit; absent where it has the one that it has by itself.
        pub limit: Option<String>,
        /// From how many percent of it on callers are warned.
        pub soft_percent: Option<u32>,
        /// Whether it refuses.
        pub mode: QuotaMode,
        /// Who set it and why.
        pub source: QuotaSource,
    }
}
