//! Why a change was not made, and why a node did not start.

use std::path::PathBuf;

use quotas::refusal::Refusal;
use quotas::scope::{EndpointId, RevisionId, ScriptId};
use quotas::switches::{Misfit, SwitchId};
use quotas::team::TeamRefusal;
use runtime::compile_child::CompileError;
use runtime::diagnostic::Diagnostics;

use super::StoreError;
use crate::storage::Head;

/// Why a change was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ControlError {
    /// The script is wrong; its author is told where.
    #[error("the script is not valid")]
    Invalid(Diagnostics),
    /// Somebody else answers this route.
    #[error("{pattern} is answered by {}", owner.as_ref().map_or("another script".to_owned(), ToString::to_string))]
    RouteConflict {
        /// The method and the pattern.
        pattern: String,
        /// The script that has it, when it is known.
        owner: Option<ScriptId>,
    },
    /// The script was changed by somebody else meanwhile.
    #[error("the script was changed meanwhile: it is at step {} now", present.seq)]
    DeployConflict {
        /// The head as it is.
        present: Box<Head>,
    },
    /// There is no such script.
    #[error("there is no script {0}")]
    ScriptUnknown(ScriptId),
    /// The script has no such revision.
    #[error("there is no revision {0}")]
    RevisionUnknown(RevisionId),
    /// No such endpoint is served.
    #[error("there is no endpoint {0}")]
    EndpointUnknown(EndpointId),
    /// The revision has no such file.
    #[error("revision {revision} has no file {path:?}")]
    FileUnknown {
        /// The revision.
        revision: RevisionId,
        /// The path that was asked for.
        path: String,
    },
    /// The idempotency key was used for something else.
    #[error("the idempotency key was used for {used}, which has other files")]
    IdempotencyMismatch {
        /// The revision that was deployed with it.
        used: RevisionId,
    },
    /// The manifest is another script's.
    #[error("the manifest says {manifest}, the request {asked}")]
    TeamMismatch {
        /// What the manifest says.
        manifest: ScriptId,
        /// What the request says.
        asked: ScriptId,
    },
    /// The end that was asked for has passed.
    #[error("the switch would have ended already")]
    SwitchPast,
    /// The kind of switch makes no sense for the scope.
    #[error("{0}")]
    SwitchMisfit(Misfit),
    /// Somebody set the switch anew while it was being released.
    #[error("{switch} was set anew meanwhile: look at it, and release it again if it is still to be")]
    SwitchChanged {
        /// The switch.
        switch: SwitchId,
    },
    /// Somebody else set the switch, and who asks is bound to a team.
    #[error("{switch} was set by {by}: they can change it, or an operator of all teams")]
    SwitchHeld {
        /// The switch.
        switch: SwitchId,
        /// Who set it.
        by: String,
    },
    /// A switch keeps the script from being changed.
    #[error("{} is frozen", _0.scope)]
    Frozen(Box<Refusal>),
    /// Another drill runs on this node.
    #[error("a drill is running on this node")]
    DrillRunning,
    /// An endpoint cannot be called without knowing what it is for.
    #[error("{endpoint} cannot be called in a drill: it takes parameters, or answers no GET")]
    CanaryUnfit {
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// As many switches are off as may be.
    #[error("{most} switches of {of} are off already, as many as may be: turn one on again first")]
    SwitchesFull {
        /// How many may be.
        most: usize,
        /// Whose.
        of: String,
    },
    /// The team has or does as much as it may.
    #[error("{0}")]
    Quota(Box<TeamRefusal>),
    /// A quota cannot be set so.
    #[error("{0}")]
    QuotaInvalid(String),
    /// The quotas were changed by somebody else meanwhile.
    #[error("the quotas were changed meanwhile: they are at change {present} now")]
    QuotaConflict {
        /// How often they were changed.
        present: u64,
    },
    /// A change is in force on this node and could not be written down.
    #[error("it is in force here, and the journal could not be written: {why}")]
    Journal {
        /// What the file system said.
        why: String,
    },
    /// The store did not take it.
    #[error("{0}")]
    Store(StoreError),
    /// The compiler could not be run, or died of the script.
    #[error("{detail}")]
    Compiler {
        /// The compiler's own code.
        code: &'static str,
        /// What it says.
        detail: String,
    },
    /// The compiled unit was not taken.
    #[error("{detail}")]
    Unit {
        /// The code of the reason.
        code: &'static str,
        /// The reason.
        detail: String,
    },
    /// The node is about to stop.
    #[error("the node is about to stop")]
    Stopping,
}

impl ControlError {
    /// Every code of this enum's own; those of the store, the compiler and units come on top.
    pub const CODES: [&'static str; 22] = [
        "script.invalid",
        "route.conflict",
        "deploy.conflict",
        "script.unknown",
        "revision.unknown",
        "endpoint.unknown",
        "file.unknown",
        "idempotency.mismatch",
        "team.mismatch",
        "switch.past",
        "switch.misfit",
        "switch.changed",
        "switch.held",
        "deploy.frozen",
        "drill.running",
        "drill.unfit",
        "switch.too_many",
        "quota.exceeded",
        "quota.invalid",
        "quota.conflict",
        "journal.unwritable",
        "node.stopping",
    ];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "script.invalid",
            Self::RouteConflict { .. } => "route.conflict",
            Self::DeployConflict { .. } => "deploy.conflict",
            Self::ScriptUnknown(_) => "script.unknown",
            Self::RevisionUnknown(_) => "revision.unknown",
            Self::EndpointUnknown(_) => "endpoint.unknown",
            Self::FileUnknown { .. } => "file.unknown",
            Self::IdempotencyMismatch { .. } => "idempotency.mismatch",
            Self::TeamMismatch { .. } => "team.mismatch",
            Self::SwitchPast => "switch.past",
            Self::DrillRunning => "drill.running",
            Self::CanaryUnfit { .. } => "drill.unfit",
            Self::SwitchMisfit(misfit) => misfit.code(),
            Self::SwitchChanged { .. } => "switch.changed",
            Self::SwitchHeld { .. } => "switch.held",
            Self::Frozen(refusal) => refusal.code.as_str(),
            Self::SwitchesFull { .. } => "switch.too_many",
            Self::Quota(_) => TeamRefusal::CODE,
            Self::QuotaInvalid(_) => "quota.invalid",
            Self::QuotaConflict { .. } => "quota.conflict",
            Self::Journal { .. } => "journal.unwritable",
            Self::Store(error) => error.code(),
            Self::Compiler { code, .. } | Self::Unit { code, .. } => code,
            Self::Stopping => "node.stopping",
        }
    }
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CompileError> for ControlError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Source(diagnostics) => Self::Invalid(diagnostics),
            error => Self::Compiler { code: error.code(), detail: error.to_string() },
        }
    }
}

impl From<actix::MailboxError> for ControlError {
    fn from(_: actix::MailboxError) -> Self {
        Self::Stopping
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal of switches cannot be read or written, so no acknowledged switch could be kept.
    #[error("the journal of switches, {}, cannot be used", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// The store is there and cannot be worked with.
    #[error("{0}")]
    Store(StoreError),
    /// An actor ended before the node was ready.
    #[error("the node was stopped while it started")]
    Stopped,
}

impl StartError {
    /// Every code of this enum's own.
    pub const CODES: [&'static str; 2] = ["journal.unusable", "node.stopped"];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Journal { .. } => "journal.unusable",
            Self::Store(error) => error.code(),
            Self::Stopped => "node.stopped",
        }
    }
}
