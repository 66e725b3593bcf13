//! The server itself: versions, health, limits in force, nodes, decisions and who did what.

use serde_json::Value;

use crate::Time;
use crate::endpoints::EndpointLimits;
use crate::problem::Problem;
use crate::shape::shapes;

shapes! {
    answer
    /// What the server is.
    pub struct Version {
        /// The program's version.
        pub version: String,
        /// The build of the engine: units of another one are compiled anew.
        pub fingerprint: String,
        /// The version of this contract.
        pub api: String,
    }

    answer
    /// Whether a node is ready to serve.
    pub struct Health {
        /// Whether all checks are well.
        pub ready: bool,
        /// The checks; left empty unless asked for.
        pub checks: Vec<Check>,
    }

    answer
    /// One check of a node's health.
    pub struct Check {
        /// Its name.
        pub name: String,
        /// Whether it is well.
        pub ok: bool,
        /// What is wrong, or how it is.
        pub detail: Option<String>,
    }

    answer
    /// Every default and ceiling in force.
    pub struct Limits {
        /// What an endpoint gets that asks for nothing.
        pub endpoint_default: EndpointLimits,
        /// The most that an endpoint can get.
        pub endpoint_ceiling: EndpointLimits,
        /// What the endpoints of a team may use together.
        pub team: RateLimits,
        /// What one client may use.
        pub client: RateLimits,
        /// Calls of a node alive at one time.
        pub node_concurrency: u32,
        /// Memory that all calls of a node hold at one time, of one team half.
        pub node_memory: String,
        /// What an upload may hold.
        pub upload: UploadLimits,
    }

    answer
    /// Limits of a team or a client.
    pub struct RateLimits {
        /// Calls in a second, in the long run.
        pub rate: String,
        /// Calls at once after a quiet time.
        pub burst: u32,
        /// Calls alive at one time, where that is limited by itself.
        pub concurrency: Option<u32>,
    }

    answer
    /// What an upload may hold.
    pub struct UploadLimits {
        /// Files.
        pub files: u32,
        /// Size of one file.
        pub file: String,
        /// Size of all files.
        pub total: String,
        /// Size of the archive when it is compressed.
        pub compressed: String,
    }

    answer
    /// Who did what.
    pub struct AuditEntry {
        /// Its id, in the order of time.
        pub id: String,
        /// When.
        pub at: Time,
        /// Who.
        pub who: String,
        /// The address they came from.
        pub from: String,
        /// What they did, as a verb: `revision.deploy`.
        pub what: String,
        /// The scope it was done to.
        pub subject: String,
        /// The reason they gave.
        pub why: Option<String>,
        /// More about it.
        pub detail: Value,
    }

    answer
    /// A node of the fleet.
    pub struct Node {
        /// Its name.
        pub name: String,
        /// The program's version.
        pub version: String,
        /// The build of the engine.
        pub build: String,
        /// Where its admin address is, as the others know it.
        pub admin: Option<String>,
        /// Since when it runs.
        pub started: Time,
        /// When it last made itself known.
        pub seen: Time,
        /// Whether it is the one that answers. Only of that one the rest is known.
        pub this: bool,
        /// Whether it is ready to serve.
        pub ready: Option<bool>,
        /// Whether it is about to stop.
        pub draining: Option<bool>,
        /// Threads that serve devices.
        pub lanes: Option<u32>,
        /// Calls alive now.
        pub in_flight: Option<u64>,
        /// Endpoints that it serves.
        pub endpoints: Option<u64>,
        /// Scripts that it does not serve as the store has them.
        pub unserved: Option<u64>,
        /// How long ago it last compared what it serves with the store, in milliseconds.
        pub lag_ms: Option<u64>,
    }

    answer
    /// Why a device's call was refused or failed.
    pub struct Decision {
        /// Its id, as the device got it: the decision's, or the request's of a call that failed.
        pub id: String,
        /// When.
        pub at: Time,
        /// The endpoint that was called.
        pub endpoint: Option<String>,
        /// The revision that ran, if one did.
        pub revision: Option<u64>,
        /// The rule that refused, such as `rate.endpoint`, or the code of the failure.
        pub rule: String,
        /// The id of the request.
        pub request: Option<String>,
        /// The answer in full, with what the device was not told.
        pub problem: Problem,
        /// How often it was so lately, as far as the node remembers.
        pub history: Option<DecisionHistory>,
    }

    answer
    /// Decisions of one rule about one endpoint.
    pub struct DecisionHistory {
        /// How many are remembered.
        pub count: u64,
        /// When the first of them was made.
        pub first: Time,
        /// When the last was.
        pub last: Time,
    }
}
