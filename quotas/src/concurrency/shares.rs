//! Shares: how many places of something shared one may hold at one time, so that others find some.
//!
//! Invariant: a count is the number of shares alive, and nothing is kept for whoever holds none.
//! Not here: how many places there are in all (a gate beside it).

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Full;
use crate::units::InFlight;

/// Counts what each one holds, with a limit for one.
#[derive(Debug)]
pub struct Shares<K> {
    most: InFlight,
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
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// Of so many places, half for each: one, where there is only one.
    pub fn half_of(places: InFlight) -> Arc<Self> {
        Self::new(InFlight::new(places.get() / 2).unwrap_or(places))
    }

    /// What one may hold.
    pub fn most(&self) -> InFlight {
        self.most
    }

    /// One more of what `of` may hold, or how much that is.
    pub fn take(self: &Arc<Self>, of: &K) -> Result<Share<K>, Full> {
        let mut held = self.lock();
        match held.get_mut(of) {
            Some(count) if *count >= self.most.get() => {
                return Err(Full { limit: self.most, in_flight: *count });
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
        assert!(shares.take(&"tv").is_ok());
    }

    #[test]
    fn half_of_one_place_is_that_place() {
        for (places, half) in [(1, 1), (2, 1), (3, 1), (256, 128)] {
            assert_eq!(Shares::<u8>::half_of(InFlight::new(places).unwrap()).most().get(), half, "{places}");
        }
    }
}
