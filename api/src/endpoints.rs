//! Endpoints: what devices can call.

use crate::Time;
use crate::shape::shapes;

shapes! {
    answer
    /// Something that devices can call.
    pub struct Endpoint {
        /// `team/script/name`.
        pub id: String,
        /// The team that owns it.
        pub team: String,
        /// The script that answers it.
        pub script: String,
        /// Its name within the script.
        pub name: String,
        /// The path that it answers, with its parameters in braces.
        pub path: String,
        /// The methods that it answers.
        pub methods: Vec<String>,
        /// The revision that answers.
        pub revision: u64,
        /// How early its calls are shed: `background`, `prefetch`, then `user`.
        pub priority: String,
        /// The only services that it may call.
        pub services: Vec<String>,
        /// What it may use.
        pub limits: EndpointLimits,
        /// Why it is set aside, when it is.
        pub quarantine: Option<Quarantine>,
        /// What keeps it from answering, when something does.
        pub problem: Option<String>,
    }

    answer
    /// What one endpoint and each of its calls may use.
    pub struct EndpointLimits {
        /// Work of a call, in units.
        pub fuel: u64,
        /// Memory that a call's script holds at one time.
        pub memory: String,
        /// Time of a call.
        pub deadline: String,
        /// Size of an answer's body.
        pub response: String,
        /// Size of a request's body.
        pub body: String,
        /// Calls to services and the like in one call.
        pub host_calls: u32,
        /// Bytes that those calls move.
        pub host_bytes: String,
        /// Calls in a second, in the long run.
        pub rate: String,
        /// Calls at once after a quiet time.
        pub burst: u32,
        /// Calls alive at one time.
        pub concurrency: u32,
    }

    answer
    /// Why and since when an endpoint is set aside.
    pub struct Quarantine {
        /// What it did.
        pub reason: String,
        /// Since when.
        pub since: Time,
        /// Until when; absent until it is lifted or another revision is deployed.
        pub until: Option<Time>,
    }
}
