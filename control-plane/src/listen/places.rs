//! How many connections there may be, in all and of one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;
use parking_lot::Mutex;

/// The places of one listener. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    most_of_address: usize,
    /// Many people come from these: only the bound in all holds for them.
    shared: Vec<IpNet>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("there are too many connections")]
    All,
    #[error("there are too many connections of this address")]
    Address,
}

/// Given back when dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    /// `None`: does not count for any address.
    address: Option<IpAddr>,
}

impl Places {
    /// `shared`: networks of proxies, behind which there are many peers.
    #[must_use]
    pub fn new(most: usize, most_of_address: usize, shared: Vec<IpNet>) -> Self {
        Self(Arc::new(Inner { most, most_of_address, shared, taken: Mutex::default() }))
    }

    /// # Errors
    /// See [`Full`].
    pub fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let address = address.to_canonical();
        let is_shared = self.0.shared.iter().any(|network| network.contains(&address));
        let address = (!is_shared).then(|| holder(address));
        let mut taken = self.0.taken.lock();
        if taken.all >= self.0.most {
            return Err(Full::All);
        }
        if let Some(address) = address {
            let of_address = taken.by_address.entry(address).or_default();
            if *of_address >= self.0.most_of_address {
                return Err(Full::Address);
            }
            *of_address += 1;
        }
        taken.all += 1;
        Ok(Place { places: self.clone(), address })
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.lock().all
    }
}

impl Place {
    /// The peer has proved who it is: it no longer counts for its address.
    pub fn proven(&mut self) {
        if let Some(address) = self.address.take() {
            self.places.0.taken.lock().leave(address);
        }
    }
}

impl Taken {
    fn leave(&mut self, address: IpAddr) {
        if let Some(of_address) = self.by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.taken.lock();
        taken.all -= 1;
        if let Some(address) = self.address {
            taken.leave(address);
        }
    }
}

/// Who has an IPv6 address has a network of 2^64 of them.
fn holder(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Places, address: &str) -> Result<Place, Full> {
        places.take(address.parse().unwrap())
    }

    #[test]
    fn one_address_does_not_keep_others_out() {
        let places = Places::new(5, 2, vec!["10.0.0.0/8".parse().unwrap()]);
        let first = take(&places, "192.0.2.1").unwrap();
        let _second = take(&places, "::ffff:192.0.2.1").unwrap();
        assert_eq!(take(&places, "192.0.2.1").unwrap_err(), Full::Address);
        let _other = take(&places, "192.0.2.2").unwrap();
        drop(first);
        let _again = take(&places, "192.0.2.1").unwrap();
        let _proxied = take(&places, "10.1.2.3").unwrap();
        let _last = take(&places, "10.1.2.3").unwrap();
        assert_eq!(take(&places, "10.1.2.3").unwrap_err(), Full::All);
        assert_eq!(places.taken(), 5);
    }

    #[test]
    fn all_addresses_of_a_network_of_ipv6_are_one_holder() {
        let places = Places::new(5, 1, Vec::new());
        let _one = take(&places, "2001:db8:1:2::1").unwrap();
        assert_eq!(take(&places, "2001:db8:1:2:ffff::1").unwrap_err(), Full::Address);
        assert!(take(&places, "2001:db8:1:3::1").is_ok());
    }

    #[test]
    fn who_proved_themselves_counts_for_all_only() {
        let places = Places::new(2, 1, Vec::new());
        let mut one = take(&places, "192.0.2.1").unwrap();
        one.proven();
        let two = take(&places, "192.0.2.1").unwrap();
        assert_eq!(take(&places, "192.0.2.2").unwrap_err(), Full::All);
        drop((one, two));
        assert_eq!(places.taken(), 0);
        assert!(places.0.taken.lock().by_address.is_empty());
    }
}
