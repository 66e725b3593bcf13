//! Memory: what all calls of a node hold at one time, in a ledger that is asked before more is taken.
//!
//! Invariant: what a ledger says is held is the sum of all holds alive and of what was left behind, and a hold that is
//! dropped, anywhere and for whatever reason, gives everything back. A hold grows in both of its ledgers or in none.
//! Not here: what one call may hold (`limits`), counting a script's allocations (the engine).
//!
//! The limits of single calls multiply: a thousand calls that are each allowed sixteen megabytes of script, answers
//! and body may together want more than any machine has. To keep places for the most that they *could* take would
//! leave nearly all of it unused. So what they *do* take is counted, as it is taken: bodies as they are read, answers
//! of services as they arrive, a script's own memory whenever it gives its thread away. What is found only
//! afterwards may overdraw a ledger, by what one call may take for each thread that runs one.
//!
//! **Half for one team.** A team that fills its half is refused, and leaves the other half to all others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::units::Bytes;

/// What is held of something, and how much may be.
#[derive(Debug)]
pub struct Ledger {
    limit: AtomicU64,
    held: AtomicU64,
}

/// There is no room for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Whose ledger is full.
    pub whose: Whose,
    /// What may be held.
    pub limit: Bytes,
    /// What is held.
    pub held: Bytes,
}

/// Whose ledger is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whose {
    /// The team's.
    Team,
    /// The node's.
    Node,
}

impl Ledger {
    /// A ledger in which nothing is held.
    pub fn new(limit: Bytes) -> Self {
        Self { limit: AtomicU64::new(limit.get()), held: AtomicU64::new(0) }
    }

    /// The ledger of one team beside this one, the node's: half of it.
    pub fn half(&self) -> Self {
        Self::new(Bytes::new(self.limit().get() / 2))
    }

    /// What may be held.
    pub fn limit(&self) -> Bytes {
        Bytes::new(self.limit.load(Ordering::Relaxed))
    }

    /// What is held.
    pub fn held(&self) -> Bytes {
        Bytes::new(self.held.load(Ordering::Relaxed))
    }

    /// The share that is held, of one; more than one when it is overdrawn.
    pub fn share(&self) -> f64 {
        self.held().get() as f64 / self.limit().get().max(1) as f64
    }

    /// Whether there is anything left.
    pub fn ask(&self) -> Result<(), (Bytes, Bytes)> {
        let (limit, held) = (self.limit(), self.held());
        if held < limit { Ok(()) } else { Err((limit, held)) }
    }

    fn take(&self, bytes: u64) -> Result<(), (Bytes, Bytes)> {
        let limit = self.limit();
        // The count guards no other memory, so no order beyond its own is needed.
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(bytes).filter(|next| *next <= limit.get())
            })
            .map(drop)
            .map_err(|held| (limit, Bytes::new(held)))
    }

    fn overdraw(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one call holds; dropping it gives it back.
#[derive(Debug)]
pub struct Hold {
    team: Arc<Ledger>,
    node: Arc<Ledger>,
    bytes: AtomicU64,
}

impl Hold {
    /// A hold of nothing.
    pub fn new(team: &Arc<Ledger>, node: &Arc<Ledger>) -> Self {
        Self { team: Arc::clone(team), node: Arc::clone(node), bytes: AtomicU64::new(0) }
    }

    /// A hold that nothing bounds, for who runs a call outside of a node.
    pub fn unbounded() -> Self {
        let ledger = Arc::new(Ledger::new(Bytes::new(u64::MAX)));
        Self::new(&ledger, &ledger)
    }

    /// What is held.
    pub fn bytes(&self) -> Bytes {
        Bytes::new(self.bytes.load(Ordering::Relaxed))
    }

    /// Asks for more, before it is taken.
    ///
    /// # Errors
    /// A ledger is full; nothing was taken.
    pub fn grow(&self, bytes: u64) -> Result<(), Spent> {
        let spent = |whose| move |(limit, held)| Spent { whose, limit, held };
        self.team.take(bytes).map_err(spent(Whose::Team))?;
        if let Err(full) = self.node.take(bytes) {
            self.team.give_back(bytes);
            return Err(spent(Whose::Node)(full));
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Says that more was taken already.
    ///
    /// # Errors
    /// A ledger is overdrawn now. It was counted all the same: whoever took it has to give it back.
    pub fn took(&self, bytes: u64) -> Result<(), Spent> {
        self.team.overdraw(bytes);
        self.node.overdraw(bytes);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        for (whose, ledger) in [(Whose::Team, &self.team), (Whose::Node, &self.node)] {
            let (limit, held) = (ledger.limit(), ledger.held());
            if held > limit {
                return Err(Spent { whose, limit, held });
            }
        }
        Ok(())
    }

    /// Leaves a part with the team and the node for good: memory that nobody can free any more.
    pub fn leave(&self, bytes: u64) {
        self.team.overdraw(bytes);
        self.node.overdraw(bytes);
    }

    /// Gives a part back.
    pub fn shrink(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        // Nobody gives back more than they took: what is kept of it here cannot fall below nothing.
        let taken = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| Some(held.saturating_sub(bytes)));
        let given = taken.unwrap_or(0).min(bytes);
        self.team.give_back(given);
        self.node.give_back(given);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        match *self.bytes.get_mut() {
            // The ledgers are shared by all threads: who holds nothing leaves them alone.
            0 => {}
            bytes => {
                self.team.give_back(bytes);
                self.node.give_back(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ledgers(node: u64) -> (Arc<Ledger>, Arc<Ledger>) {
        let node = Ledger::new(Bytes::new(node));
        (Arc::new(node.half()), Arc::new(node))
    }

    #[test]
    fn a_team_is_refused_at_its_half_and_the_others_find_room() {
        let (greedy, node) = ledgers(100);
        let other = Arc::new(node.half());
        let (one, two) = (Hold::new(&greedy, &node), Hold::new(&other, &node));
        one.grow(40).unwrap();
        let spent = one.grow(11).unwrap_err();
        assert_eq!((spent.whose, spent.limit, spent.held), (Whose::Team, Bytes::new(50), Bytes::new(40)));
        assert_eq!((node.held(), one.bytes()), (Bytes::new(40), Bytes::new(40)), "nothing was taken");
        two.grow(50).unwrap();
        one.grow(10).unwrap();
        assert!(greedy.ask().is_err() && node.ask().is_err());
        drop(one);
        assert_eq!((greedy.held(), node.held()), (Bytes::new(0), Bytes::new(50)));
    }

    #[test]
    fn a_node_that_is_full_takes_from_nobody() {
        let (one, node) = ledgers(100);
        let teams = [Arc::clone(&one), Arc::new(node.half()), Arc::new(node.half())];
        let holds = teams.clone().map(|team| Hold::new(&team, &node));
        holds[0].grow(50).unwrap();
        holds[1].grow(45).unwrap();
        assert_eq!(holds[2].grow(6).unwrap_err().whose, Whose::Node);
        assert_eq!(teams[2].held(), Bytes::new(0));
        holds[2].grow(5).unwrap();
    }

    #[test]
    fn what_was_left_behind_stays() {
        let (team, node) = ledgers(100);
        let hold = Hold::new(&team, &node);
        hold.took(20).unwrap();
        hold.leave(50);
        drop(hold);
        assert_eq!((team.held(), node.held()), (Bytes::new(50), Bytes::new(50)));
        assert!(team.ask().is_err() && node.ask().is_ok(), "its team has nothing left, the others have");
    }

    #[test]
    fn what_was_taken_before_it_was_asked_for_is_counted_and_told() {
        let (team, node) = ledgers(100);
        let hold = Hold::new(&team, &node);
        assert_eq!(hold.took(60).unwrap_err().whose, Whose::Team);
        assert_eq!(node.held(), Bytes::new(60));
        hold.shrink(60);
        hold.shrink(60);
        assert_eq!((team.held(), node.held()), (Bytes::new(0), Bytes::new(0)));
    }

    proptest! {
        #[test]
        fn a_ledger_holds_what_its_holds_hold(
            steps in prop::collection::vec((0_usize..6, 0_u8..4, 0_u64..60), 0..200),
        ) {
            let (_, node) = ledgers(300);
            let teams = [(); 2].map(|()| Arc::new(node.half()));
            let mut holds: Vec<Option<Hold>> = (0..6).map(|_| None).collect();
            let mut asked_only = true;
            for (at, what, bytes) in steps {
                let hold = holds[at].get_or_insert_with(|| Hold::new(&teams[at % 2], &node));
                match what {
                    0 => {
                        let _ = hold.grow(bytes);
                    }
                    1 => {
                        asked_only = false;
                        let _ = hold.took(bytes);
                    }
                    2 => hold.shrink(bytes),
                    _ => holds[at] = None,
                }
                let sum = |team: usize| -> u64 {
                    let of = holds.iter().enumerate().filter(|(at, _)| at % 2 == team);
                    of.filter_map(|(_, hold)| hold.as_ref()).map(|hold| hold.bytes().get()).sum()
                };
                prop_assert_eq!((teams[0].held().get(), teams[1].held().get()), (sum(0), sum(1)));
                prop_assert_eq!(node.held().get(), sum(0) + sum(1));
                prop_assert!(!asked_only || (node.held() <= node.limit() && teams[0].held() <= teams[0].limit()));
            }
            drop(holds);
            prop_assert_eq!(node.held(), Bytes::new(0));
        }
    }
}
