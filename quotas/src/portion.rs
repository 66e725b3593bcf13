//! Portions: which part of a quota each node of a fleet has, as the traffic moves.
//!
//! Invariant: a node's part is above nothing and at most the whole; a node that is alone comes to the whole. Pure:
//! what the nodes were asked for is an argument.
//! Not here: asking the other nodes, applying a part (`setting`).
//!
//! A node's part goes to 0.2/n + 0.8·d/D, where n is the number of nodes, d the calls that this one was asked for
//! lately and D those of all; a fifth is shared out evenly, so that a node that was not called has something for
//! the first who comes, and so is all of it while next to nobody calls. It goes there in steps, one every two seconds, each by half of what it has at most, so that
//! a burst on one node does not empty the others. Where a node could not be asked, all keep what they have.
//!
//! **The error.** Nodes that know the same demand come to parts that add up to the whole. While they move there
//! the sum can be more, because a node that gains may take its step before one that loses: from parts that add up
//! to one, g of them with those that gain, the sum is at most (1 − g) + min(1, 1.5 g), which is 4/3 where g is
//! 2/3. So in every window of length W all nodes together admit at most rate·W·(1 + e) + n·(burst + 1), with e =
//! 0 when the traffic is steady and e ≤ 0.5 while it moves; the n·1 is the rounding of each node's part. They may
//! admit less: of traffic that comes to one node alone it can take 0.8 + 0.2/n of the whole, and a part that has
//! to grow tenfold takes six steps. While nodes do not know of each other each has
//! what it last had, and one that has never heard of another has the whole.

use std::time::Duration;

/// How often a part takes a step.
pub const STEP: Duration = Duration::from_secs(2);
/// What is shared out evenly.
const EVEN: f64 = 0.2;
/// Fewer calls of all nodes in a step say nothing of where the next will come.
const LEAST: f64 = 2.0;
/// The most that a part gains or loses in a step, of itself.
const MOST: f64 = 0.5;

/// The part of what is new: all nodes have it alike.
pub fn first(nodes: usize) -> f64 {
    1.0 / nodes.max(1) as f64
}

/// A part's next step, for a node that was asked for `mine` of `all` calls, one of so many nodes.
pub fn next(part: f64, mine: f64, all: f64, nodes: usize) -> f64 {
    let even = 1.0 / nodes.max(1) as f64;
    let by_demand = if all >= LEAST { (mine / all).clamp(0.0, 1.0) } else { even };
    let target = EVEN * even + (1.0 - EVEN) * by_demand;
    target.clamp(part * (1.0 - MOST), part * (1.0 + MOST)).min(1.0)
}

#[cfg(test)]
mod tests;
