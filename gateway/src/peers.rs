//! Places for connections, and for requests before their key is known, shared out by where they come from.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::UNKNOWN_STREAMS_OF_PEER_MAX;
use crate::metrics::CONNECTIONS;

/// The connections that may be open at once. A peer may open more as long as it has fewer than are left free: alone it comes to half of
/// all, of two that take what they can each to a third, and the next one always finds a place. Of those on which no key is known, a peer
/// may have a quarter of all.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    max: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    peers: HashMap<IpAddr, OfPeer>,
}

#[derive(Debug, Default, Clone, Copy)]
struct OfPeer {
    connections: usize,
    /// Of these, those on which no key is known.
    strangers: usize,
    /// Requests that wait for their key to be known.
    waiting: u32,
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
    known: AtomicBool,
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
        // However few places there are, one stranger must find one: that is how a sender begins.
        if of_peer.connections >= free || of_peer.strangers >= (self.max / 4).max(1) {
            return Err(NoPlace::Share);
        }
        open.all += 1;
        let of_peer = open.peers.entry(peer).or_default();
        of_peer.connections += 1;
        of_peer.strangers += 1;
        drop(open);
        metrics::gauge!(CONNECTIONS).increment(1.0);
        Ok(Place {
            peers: self.clone(),
            peer,
            known: AtomicBool::new(false),
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Somebody with a key is at the other end.
    pub(crate) fn set_known(&self) {
        if !self.known.swap(true, Ordering::SeqCst) {
            self.change(|of_peer| of_peer.strangers -= 1);
        }
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Ordering::SeqCst)
    }

    /// Counts a request that waits for its key to be known; false when this peer has too many of them. Each ends with [`Place::end_wait`].
    pub(crate) fn wait(&self) -> bool {
        self.change(|of_peer| {
            of_peer.waiting += 1;
            of_peer.waiting <= UNKNOWN_STREAMS_OF_PEER_MAX
        })
    }

    pub(crate) fn end_wait(&self) {
        self.change(|of_peer| of_peer.waiting -= 1);
    }

    fn change<R>(&self, change: impl FnOnce(&mut OfPeer) -> R) -> R {
        // A peer is there as long as one of its places is.
        change(self.peers.open().peers.entry(self.peer).or_default())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.open();
        open.all -= 1;
        if let Some(of_peer) = open.peers.get_mut(&self.peer) {
            of_peer.connections -= 1;
            of_peer.strangers -= usize::from(!self.is_known());
            if of_peer.connections == 0 {
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

    /// Of senders with a key.
    fn fill(peers: &Peers, address: &str) -> (Vec<Place>, NoPlace) {
        let mut places = Vec::new();
        loop {
            match peers.admit(address.parse().unwrap()) {
                Ok(place) => {
                    place.set_known();
                    places.push(place);
                }
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
    fn connections_without_a_key_are_a_quarter_of_all_and_those_with_one_do_not_count() {
        let peers = Peers::new(8_192);
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let strangers: Vec<_> = (0..).map_while(|_| peers.admit(address).ok()).collect();
        assert_eq!(strangers.len(), 2_048);
        assert_eq!(peers.admit(address).err(), Some(NoPlace::Share));
        strangers[0].set_known();
        strangers[0].set_known();
        let one_more = peers.admit(address).unwrap();
        assert!(peers.admit(address).is_err());
        drop((strangers, one_more));
        assert!(peers.open().peers.is_empty());
    }

    #[test]
    fn requests_that_wait_for_their_key_are_few_for_one_peer_whatever_its_connections() {
        let peers = Peers::new(64);
        let [a, b, other] = ["10.0.0.1", "10.0.0.1", "10.0.0.2"].map(|a| peers.admit(a.parse().unwrap()).unwrap());
        assert!((0..UNKNOWN_STREAMS_OF_PEER_MAX).all(|n| if n % 2 == 0 { a.wait() } else { b.wait() }));
        assert!(!a.wait() && other.wait());
        a.end_wait();
        a.end_wait();
        assert!(b.wait());
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
