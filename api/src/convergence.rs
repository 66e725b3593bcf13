//! Convergence: which nodes serve what the store has.

use crate::Time;
use crate::shape::{one_of, shapes};

one_of! {
    /// How a node compares with the store.
    pub enum NodeState ("a node's state") {
        /// It serves what the store has.
        Converged = "converged",
        /// It does not yet.
        Behind = "behind",
        /// It cannot; `why` says why.
        Failed = "failed",
        /// It could not be asked; `why` says why.
        Unreachable = "unreachable",
    }
}

shapes! {
    answer
    /// Where an endpoint's script stands in the store and on every node.
    pub struct Convergence {
        /// The script, as `team/script`.
        pub script: String,
        /// The step of its history that the store has.
        pub seq: u64,
        /// The revision that has to answer.
        pub revision: Option<u64>,
        /// Whether every node that is known serves it.
        pub converged: bool,
        /// The nodes, the one that answers first.
        pub nodes: Vec<NodeStanding>,
    }

    answer
    /// Where a script stands on one node.
    pub struct NodeStanding {
        /// The node's name.
        pub node: String,
        /// How it compares with the store.
        pub state: NodeState,
        /// The step of the script's history that it serves.
        pub seq: Option<u64>,
        /// The revision that answers there.
        pub revision: Option<u64>,
        /// Why it does not serve what the store has, where that is known.
        pub why: Option<String>,
        /// When it last made itself known.
        pub seen: Time,
    }
}
