//! Scripts and their revisions: what an upload, a promotion and a look into the history answer.

use crate::Time;
use crate::problem::Diagnostic;
use crate::shape::shapes;

shapes! {
    answer
    /// Where a script stands. Its `etag` is what `If-Match` asks for.
    pub struct Head {
        /// The revision that answers; absent when none does.
        pub active: Option<u64>,
        /// The newest revision.
        pub latest: Option<u64>,
        /// The state's tag, in its quotes.
        pub etag: String,
        /// Whether the script was taken away. Its history stays.
        pub deleted: bool,
    }

    answer
    /// A script and where it stands.
    pub struct Script {
        /// The team that owns it.
        pub team: String,
        /// Its name within the team.
        pub script: String,
        /// Where it stands.
        pub head: Head,
    }

    answer
    /// One revision of a script, immutable.
    pub struct Revision {
        /// The team that owns the script.
        pub team: String,
        /// The script's name within the team.
        pub script: String,
        /// Its number, counted from one.
        pub number: u64,
        /// The hash of its files.
        pub bundle: String,
        /// Whether it is the one that answers.
        pub active: bool,
        /// What its author said about it.
        pub message: String,
        /// A name for it, a version for example.
        pub tag: Option<String>,
        /// Who deployed it.
        pub by: String,
        /// When.
        pub at: Time,
        /// The names of its endpoints.
        pub endpoints: Vec<String>,
    }

    answer
    /// One revision with the list of its files.
    pub struct RevisionDetail {
        /// The revision.
        pub revision: Revision,
        /// Its files, sorted by path.
        pub files: Vec<FileEntry>,
    }

    answer
    /// A file of a revision.
    pub struct FileEntry {
        /// Its path within the bundle.
        pub path: String,
        /// Its size in bytes.
        pub bytes: u64,
    }

    answer
    /// What an upload did.
    pub struct DeployAnswer {
        /// The revision that was made, or would be.
        pub revision: Revision,
        /// Where the script stands now.
        pub head: Head,
        /// The revision that answers now.
        pub active: Option<u64>,
        /// The endpoints that the revision answers, as `team/script/name`.
        pub endpoints: Vec<String>,
        /// The endpoints that were there before and are not any more.
        pub removed: Vec<String>,
        /// What the compiler would like to be changed.
        pub warnings: Vec<Diagnostic>,
        /// The limits that were asked for and not granted as asked.
        pub cuts: Vec<Cut>,
        /// Whether the same request had been done before; nothing was done again.
        pub repeated: bool,
        /// Whether it was only tried.
        pub dry_run: bool,
        /// Whether all that was to be waited for happened in time.
        pub converged: bool,
        /// How long it took, in milliseconds.
        pub took_ms: u64,
    }

    answer
    /// A limit that was asked for and not granted as asked.
    pub struct Cut {
        /// The endpoint's name.
        pub endpoint: String,
        /// The limit's name in the manifest.
        pub limit: String,
        /// What was asked for.
        pub asked: String,
        /// What was granted.
        pub granted: String,
    }

    request
    /// Which revision is to answer.
    pub struct ActivateRequest {
        /// Its number.
        pub revision: u64,
        /// Why, for the audit.
        pub reason: Option<String>,
    }

    answer
    /// What a promotion or a roll-back did.
    pub struct Activated {
        /// Where the script stands now.
        pub head: Head,
        /// The revision that answered before.
        pub before: Option<u64>,
        /// The endpoints that answer now.
        pub endpoints: Vec<String>,
        /// The endpoints that were there before and are not any more.
        pub removed: Vec<String>,
        /// Whether it was only tried.
        pub dry_run: bool,
        /// Whether all that was to be waited for happened in time.
        pub converged: bool,
    }

    answer
    /// What taking a script away did.
    pub struct Deleted {
        /// Where the script stands now.
        pub head: Head,
        /// The endpoints that do not answer any more.
        pub removed: Vec<String>,
        /// Whether it was only tried.
        pub dry_run: bool,
    }
}
