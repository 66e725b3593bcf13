//! Places: how many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The count of a door's connections.
#[derive(Debug)]
pub struct Places {
    per_address: u32,
    in_all: u32,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// One connection's place; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// So many from one address, and so many in all.
    pub fn new(per_address: u32, in_all: u32) -> Arc<Self> {
        Arc::new(Self { per_address, in_all, taken: Mutex::default() })
    }

    /// A place for a connection from `address`, when there is one.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let from_here = taken.by_address.get(&address).copied().unwrap_or(0);
        if from_here >= self.per_address || taken.in_all >= self.in_all {
            return None;
        }
        taken.in_all += 1;
        taken.by_address.insert(address, from_here + 1);
        Some(Place { places: Arc::clone(self), address })
    }

    /// Connections that are open.
    pub fn taken(&self) -> u32 {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).in_all
    }
}

/// Whoever has one address of version 6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => four.into(),
            None => {
                let [a, b, c, d, ..] = six.segments();
                std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        },
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.in_all = taken.in_all.saturating_sub(1);
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gives_them_back() {
        let places = Places::new(2, 3);
        let one: IpAddr = "127.0.0.1".parse().unwrap();
        let two: IpAddr = "127.0.0.2".parse().unwrap();
        let first = places.take(one).unwrap();
        let _second = places.take(one).unwrap();
        assert!(places.take(one).is_none());
        let _third = places.take(two).unwrap();
        assert!(places.take(two).is_none(), "the door is full");
        drop(first);
        assert!(places.take(two).is_some());
        assert_eq!(places.taken(), 2);
    }

    #[test]
    fn addresses_of_one_network_share_their_places() {
        let places = Places::new(1, 9);
        let _one = places.take("2001:db8:1:2::1".parse().unwrap()).unwrap();
        assert!(places.take("2001:db8:1:2:ffff::9".parse().unwrap()).is_none());
        assert!(places.take("2001:db8:1:3::1".parse().unwrap()).is_some());
    }
}
