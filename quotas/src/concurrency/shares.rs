//! Shares: how many places of something shared one may hold at one time, so that others find some.
//!
//! Invariant: a count is the number of shares alive, and nothing is kept for whoever holds none.
//! Not here: how many places there are in all (a gate beside it).

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Full;
use crate::units::InFlight;

/// Counts what each one holds, with a limit for one.
#[derive(Debug)]
pub struct Shares<K> {
    most: AtomicU32,
    held: Mutex<HashMap<K, u32>>,
}

/// A part of one's share; dropping it gives it back.
pub struct Share<K: Eq + Hash> {
    shares: Arc<Shares<K>>,
    of: K,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// Each may hold so many.
    pub fn new(most: InFlight) -> Arc<Self> {
        Arc::new(Self { most: AtomicU32::new(most.get()), held: Mutex::default() })
    }

    /// Of so many places, half for each: one, where there is only one.
    pub fn half_of(places: InFlight) -> Arc<Self> {
        Self::new(half(places))
    }

    /// Changes the number of places, so that each may hold half of the new one. Takes nothing from who holds more.
    pub fn halve(&self, places: InFlight) {
        self.most.store(half(places).get(), Ordering::Relaxed);
    }

    /// What one may hold.
    pub fn most(&self) -> InFlight {
        InFlight::new(self.most.load(Ordering::Relaxed)).expect("stored from a number that is not zero")
    }

    /// One more of what `of` may hold, or how much that is.
    pub fn take(self: &Arc<Self>, of: &K) -> Result<Share<K>, Full> {
        let (most, mut held) = (self.most(), self.lock());
        match held.get_mut(of) {
            Some(count) if *count >= most.get() => {
                return Err(Full { limit: most, in_flight: *count });
            }
            Some(count) => *count += 1,
            None => drop(held.insert(of.clone(), 1)),
        }
        Ok(Share { shares: Arc::clone(self), of: of.clone() })
    }
}

impl<K> Shares<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, u32>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        if let Some(count) = held.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.of);
            }
        }
    }
}

impl<K: Eq + Hash + fmt::Debug> fmt::Debug for Share<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Share").field(&self.of).finish()
    }
}

/// Half of the places, and one where there is only one.
fn half(places: InFlight) -> InFlight {
    InFlight::new(places.get() / 2).unwrap_or(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_no_more_than_its_share_and_takes_nobody_elses() {
        let shares = Shares::half_of(InFlight::new(4).unwrap());
        let first = shares.take(&"tv").unwrap();
        let _second = shares.take(&"tv").unwrap();
        assert_eq!(shares.take(&"tv").unwrap_err(), Full { limit: shares.most(), in_flight: 2 });
        drop((shares.take(&"radio").unwrap(), first));
        assert_eq!(*shares.lock(), HashMap::from([("tv", 1)]));
        let second = shares.take(&"tv").unwrap();
        shares.halve(InFlight::new(2).unwrap());
        drop(second);
        assert_eq!(shares.take(&"tv").unwrap_err().limit.get(), 1);
    }

    #[test]
    fn half_of_one_place_is_that_place() {
        for (places, half) in [(1, 1), (2, 1), (3, 1), (256, 128)] {
            assert_eq!(Shares::<u8>::half_of(InFlight::new(places).unwrap()).most().get(), half, "{places}");
        }
    }
}
