//! Where KMS is at present: its name is resolved again and again, the last good answer is kept, and an address that does
//! not answer is left aside for a while.
//!
//! Addresses that no KMS has are never dialled, whatever a name server says: those of a link, of metadata services, and
//! those outside the networks that the settings name.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::settings::{Endpoint, undialled};

/// How many addresses of one answer are used.
const ADDRESSES_MAX: usize = 16;

/// How long an address is left aside that could not be connected to.
const ASIDE: Duration = Duration::from_secs(5);

/// The addresses of KMS.
pub struct Addresses {
    endpoint: Endpoint,
    networks: Vec<IpNet>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    all: Vec<Address>,
    /// Who is first next time.
    turn: usize,
}

struct Address {
    socket: SocketAddr,
    aside_until: Option<Instant>,
}

/// What resolving came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// So many addresses, which may be the same as before.
    Usable(usize),
    /// No name server answered, or none of its addresses may be dialled: the last good ones stay.
    Unusable,
}

impl Addresses {
    /// Of this endpoint, within these networks (any, if there are none). An endpoint that is an address needs no name
    /// server.
    pub fn new(endpoint: Endpoint, networks: Vec<IpNet>) -> Self {
        let addresses = Self { endpoint, networks, known: Mutex::default() };
        if let Some(literal) = addresses.literal() {
            addresses.take(&[SocketAddr::new(literal, addresses.endpoint.port)]);
        }
        addresses
    }

    fn literal(&self) -> Option<IpAddr> {
        self.endpoint.literal()
    }

    /// What is to be resolved; `None` if nothing is.
    pub fn name(&self) -> Option<(&str, u16)> {
        self.literal().is_none().then_some((self.endpoint.host.as_str(), self.endpoint.port))
    }

    /// Takes what a name server said. Of addresses that stay it is remembered whether they are left aside.
    pub fn take(&self, answer: &[SocketAddr]) -> Resolved {
        let mut sockets: Vec<SocketAddr> = answer.iter().copied().filter(|it| self.may_be_dialled(it.ip())).collect();
        sockets.dedup();
        sockets.truncate(ADDRESSES_MAX);
        if sockets.is_empty() {
            return Resolved::Unusable;
        }
        let mut known = self.lock();
        let aside = |socket: &SocketAddr| {
            known.all.iter().find(|address| address.socket == *socket).and_then(|address| address.aside_until)
        };
        let all = sockets.iter().map(|socket| Address { socket: *socket, aside_until: aside(socket) }).collect();
        known.all = all;
        Resolved::Usable(sockets.len())
    }

    fn may_be_dialled(&self, address: IpAddr) -> bool {
        // A name that leads to this machine is somebody's trick, unless the endpoint says so itself.
        let is_loopback = address.to_canonical().is_loopback();
        let is_inside = is_loopback && self.literal().is_none() && self.endpoint.host != "localhost";
        !is_inside && undialled(address, &self.networks).is_none()
    }

    /// Which addresses to try, the best first: each in its turn, those that are left aside last.
    pub fn in_turn(&self, now: Instant) -> Vec<SocketAddr> {
        let mut known = self.lock();
        known.turn = known.turn.wrapping_add(1);
        let (turn, count) = (known.turn, known.all.len().max(1));
        let (front, back) = known.all.split_at_checked(turn % count).unwrap_or((&[], &known.all));
        let in_turn = back.iter().chain(front);
        let is_aside = |address: &&Address| address.aside_until.is_some_and(|until| until > now);
        let (aside, good): (Vec<&Address>, Vec<&Address>) = in_turn.partition(is_aside);
        good.into_iter().chain(aside).map(|address| address.socket).collect()
    }

    /// An address could be connected to, or not.
    pub fn tried(&self, socket: SocketAddr, connected: bool, now: Instant) {
        let mut known = self.lock();
        if let Some(address) = known.all.iter_mut().find(|address| address.socket == socket) {
            address.aside_until = (!connected).then(|| now + ASIDE);
        }
    }

    /// How many addresses there are, and how many of them are not left aside.
    pub fn count(&self, now: Instant) -> (usize, usize) {
        let known = self.lock();
        let good = known.all.iter().filter(|address| address.aside_until.is_none_or(|until| until <= now)).count();
        (known.all.len(), good)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| format!("{text}:443").parse().unwrap()).collect()
    }

    fn named(host: &str, networks: &[&str]) -> Addresses {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        Addresses::new(Endpoint { secure: true, host: host.to_owned(), port: 443 }, networks)
    }

    /// H06: a name server cannot lead to this machine, to the link or to metadata.
    #[test]
    fn only_addresses_that_a_kms_may_have_are_dialled() {
        for (answer, networks, expected) in [
            ("203.0.113.1", &[][..], true),
            ("10.0.0.1", &[], true),
            ("100.100.0.1", &[], true),
            ("[2001:db8::1]", &[], true),
            ("127.0.0.1", &[], false),
            ("[::1]", &[], false),
            ("[::ffff:127.0.0.1]", &[], false),
            ("169.254.169.254", &[], false),
            ("[fe80::1]", &[], false),
            ("100.100.100.200", &[], false),
            ("[::ffff:100.100.100.200]", &[], false),
            ("0.0.0.0", &[], false),
            ("224.0.0.1", &[], false),
            ("10.0.0.1", &["100.64.0.0/10"], false),
            ("100.100.0.1", &["100.64.0.0/10"], true),
        ] {
            let addresses = named("kms.example", networks);
            assert_eq!(addresses.take(&sockets(&[answer])) == Resolved::Usable(1), expected, "{answer}");
        }
        assert_eq!(named("127.0.0.1", &[]).in_turn(Instant::now()), sockets(&["127.0.0.1"]));
        assert_eq!(named("169.254.169.254", &[]).in_turn(Instant::now()), []);
    }

    /// H07: the last good answer stays, and an answer is as long as it may be.
    #[test]
    fn a_bad_answer_changes_nothing() {
        let (addresses, now) = (named("kms.example", &[]), Instant::now());
        assert_eq!(addresses.in_turn(now), []);
        assert_eq!(addresses.take(&sockets(&["203.0.113.1", "127.0.0.1"])), Resolved::Usable(1));
        for bad in [&[][..], &["127.0.0.1"]] {
            assert_eq!(addresses.take(&sockets(bad)), Resolved::Unusable);
            assert_eq!(addresses.in_turn(now), sockets(&["203.0.113.1"]));
        }
        let many: Vec<String> = (0..1000).map(|at| format!("10.0.{}.{}", at / 250, at % 250 + 1)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(addresses.take(&sockets(&many)), Resolved::Usable(ADDRESSES_MAX));
    }

    #[test]
    fn every_address_has_its_turn_and_a_dead_one_is_left_aside() {
        let (addresses, now) = (named("kms.example", &[]), Instant::now());
        let all = sockets(&["203.0.113.1", "203.0.113.2", "203.0.113.3"]);
        addresses.take(&all);
        let firsts: Vec<SocketAddr> = (0..3).map(|_| addresses.in_turn(now)[0]).collect();
        assert!(all.iter().all(|socket| firsts.contains(socket)), "{firsts:?}");
        addresses.tried(all[0], false, now);
        for _ in 0..6 {
            assert_eq!(*addresses.in_turn(now).last().unwrap(), all[0]);
        }
        addresses.take(&all);
        assert_eq!(addresses.count(now), (3, 2), "a new answer does not heal it");
        assert_eq!(addresses.count(now + ASIDE), (3, 3));
        addresses.tried(all[0], true, now);
        assert_eq!(addresses.count(now), (3, 3));
    }
}
