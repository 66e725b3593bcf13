//! Client keys: a rate for every client, in a table whose size never changes.
//!
//! Invariant: whatever keys clients invent, the table is [`SLOTS`] words and a call looks at one of them; on
//! the path of a call nothing is allocated, grown or swept.
//! Not here: what a client's key is (an address, a token's name): any bytes will do.
//!
//! **Collisions.** A key's slot is its hash under a secret of the process, so nobody outside can choose keys
//! that meet. Two keys in one slot share one rate: they are limited sooner, never later. A client that is
//! alive beside k others shares with one of them with a chance of 1 − (1 − 1/65,536)ᵏ: 1.5 % for 1,000. Who
//! invents keys to get fresh bursts gets no more than the table holds, 65,536 times the quota, and the
//! endpoint's, team's and node's limits stand before and behind that. A slot that was not used for as long
//! as its burst takes to come back is as good as new, so nothing has to be removed.

use std::hash::{BuildHasher, Hash, RandomState};

use governor::state::InMemoryState;

use crate::rate::{Bucket, Quota, QuotaCell};
use crate::rule::Tally;
use crate::units::Moment;

/// How many clients can be told apart.
pub const SLOTS: usize = 65_536;

const _: () = assert!(size_of::<InMemoryState>() <= 16);

/// The rates of all clients of a node.
#[derive(Debug)]
pub struct ClientKeys {
    quota: QuotaCell,
    secret: RandomState,
    slots: Box<[InMemoryState]>,
    /// What came of asking, of all clients together.
    pub tally: Tally,
}

impl ClientKeys {
    /// A table in which every client has its whole burst left. The secret decides which keys meet; it is the
    /// process's own.
    pub fn new(quota: Quota, secret: RandomState) -> Self {
        let slots = std::iter::repeat_with(InMemoryState::default).take(SLOTS).collect();
        Self { quota: QuotaCell::new(quota), secret, slots, tally: Tally::default() }
    }

    /// The quota that each client has.
    pub fn quota(&self) -> Quota {
        self.quota.load()
    }

    /// The bucket of a client. Take it once a call: it costs a hash.
    pub fn bucket<K: Hash + ?Sized>(&self, key: &K) -> Bucket<'_> {
        Bucket::new(&self.quota, &self.slots[self.slot(key)])
    }

    /// Changes the quota of all clients; what each used stays used. Walks the whole table: for a change of
    /// configuration, not for the path of a call.
    pub fn rescale(&self, quota: Quota, now: Moment) {
        self.quota.rescale(&self.slots, quota, now);
    }

    /// The memory of the table.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    fn slot<K: Hash + ?Sized>(&self, key: &K) -> usize {
        // The cast keeps the low bits, and the remainder needs no more than sixteen of them.
        self.secret.hash_one(key) as usize % SLOTS
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::units::PerSecond;

    fn quota(rate: u32, burst: u32) -> Quota {
        Quota { rate: PerSecond::new(rate).unwrap(), burst: burst.try_into().unwrap() }
    }

    #[test]
    fn a_million_keys_do_not_grow_the_table() {
        let clients = ClientKeys::new(quota(20, 40), RandomState::new());
        let (bytes, at) = (clients.bytes(), clients.slots.as_ptr());
        let mut used = vec![false; SLOTS];
        for key in 0..1_000_000_u32 {
            let _ = clients.bucket(&key).charge(Moment::from_nanos(1));
            used[clients.slot(&key)] = true;
        }
        assert_eq!((clients.bytes(), clients.slots.as_ptr()), (bytes, at));
        assert!(bytes <= SLOTS * 16);
        // Fifteen keys a slot: keys that are spread well leave next to none empty.
        assert!(used.iter().filter(|used| **used).count() > SLOTS * 99 / 100);
    }

    #[test]
    fn clients_are_limited_one_by_one_unless_their_keys_meet() {
        let clients = ClientKeys::new(quota(20, 2), RandomState::new());
        let now = Moment::from_nanos(1);
        let other = (0..).find(|key: &u32| clients.slot(key) != clients.slot("greedy")).unwrap();
        let twin = (0..).find(|key: &u32| clients.slot(key) == clients.slot("greedy")).unwrap();
        for _ in 0..2 {
            clients.bucket("greedy").charge(now).unwrap();
        }
        assert!(clients.bucket("greedy").ask(now).is_err());
        assert!(clients.bucket(&twin).ask(now).is_err());
        assert!(clients.bucket(&other).ask(now).is_ok());
    }

    #[test]
    fn a_changed_quota_keeps_what_every_client_used() {
        let clients = ClientKeys::new(quota(10, 10), RandomState::new());
        let now = Moment::from_nanos(1);
        let other = (0..).find(|key: &u32| clients.slot(key) != clients.slot("a")).unwrap();
        for _ in 0..7 {
            clients.bucket("a").charge(now).unwrap();
        }
        clients.rescale(quota(1_000, 10), now);
        assert_eq!(clients.bucket("a").remaining(now), 3);
        assert_eq!(clients.bucket("a").reset_after(now), Duration::from_millis(7));
        assert_eq!(clients.bucket(&other).remaining(now), 10);
    }
}
