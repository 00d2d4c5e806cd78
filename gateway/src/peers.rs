//! Places for connections, shared out by where they come from.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::CONNECTIONS;

/// The connections that may be open at once. A peer may open more as long as it has fewer than are left free: alone it comes to half of
/// all, of two that take what they can each to a third, and the next one always finds a place.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    max: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    peers: HashMap<IpAddr, usize>,
}

/// Why a connection finds no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken.
    Full,
    /// This peer has its share.
    Share,
}

/// The place of one open connection; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    peers: Peers,
    peer: IpAddr,
}

impl Peers {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            open: Arc::default(),
        }
    }

    pub(crate) fn admit(&self, address: IpAddr) -> Result<Place, NoPlace> {
        let peer = peer(address);
        let mut open = self.open();
        let free = self.max.saturating_sub(open.all);
        let of_peer = open.peers.get(&peer).copied().unwrap_or_default();
        if free == 0 {
            return Err(NoPlace::Full);
        }
        if of_peer >= free {
            return Err(NoPlace::Share);
        }
        open.all += 1;
        open.peers.insert(peer, of_peer + 1);
        drop(open);
        metrics::gauge!(CONNECTIONS).increment(1.0);
        Ok(Place {
            peers: self.clone(),
            peer,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.open();
        open.all -= 1;
        if let Some(n) = open.peers.get_mut(&self.peer) {
            *n -= 1;
            if *n == 0 {
                open.peers.remove(&self.peer);
            }
        }
        drop(open);
        metrics::gauge!(CONNECTIONS).decrement(1.0);
    }
}

/// Whose address it is: one host has all addresses of an IPv6 network of 64 bits.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(peers: &Peers, address: &str) -> (Vec<Place>, NoPlace) {
        let mut places = Vec::new();
        loop {
            match peers.admit(address.parse().unwrap()) {
                Ok(place) => places.push(place),
                Err(why) => return (places, why),
            }
        }
    }

    #[test]
    fn one_peer_leaves_room_for_others() {
        let peers = Peers::new(8_192);
        let (first, why) = fill(&peers, "10.0.0.1");
        assert_eq!((first.len(), why), (4_096, NoPlace::Share));
        let (second, _) = fill(&peers, "10.0.0.2");
        assert_eq!(second.len(), 2_048);
        // However many come, each finds a place until there is none.
        let mut others = Vec::new();
        let why = loop {
            match peers.admit(IpAddr::from([
                10,
                1,
                (others.len() / 256) as u8,
                (others.len() % 256) as u8,
            ])) {
                Ok(place) => others.push(place),
                Err(why) => break why,
            }
        };
        assert_eq!((others.len(), why), (2_048, NoPlace::Full));
        drop((first, second, others));
        let open = peers.open();
        assert_eq!((open.all, open.peers.len()), (0, 0));
    }

    #[test]
    fn when_all_are_taken_nobody_comes_in() {
        let peers = Peers::new(1);
        let (one, why) = fill(&peers, "10.0.0.1");
        assert_eq!((one.len(), why), (1, NoPlace::Full));
        assert_eq!(peers.admit("10.0.0.2".parse().unwrap()).err(), Some(NoPlace::Full));
        drop(one);
        assert!(peers.open().peers.is_empty());
    }

    #[test]
    fn a_peer_is_an_address_or_a_network_of_one_host() {
        for (a, b, same) in [
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("2001:db8:0:1::7", "2001:db8:0:1:ffff::9", true),
            ("2001:db8:0:1::7", "2001:db8:0:2::7", false),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(peer(a.parse().unwrap()) == peer(b.parse().unwrap()), same, "{a} {b}");
        }
    }
}
