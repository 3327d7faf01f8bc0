//! Where KMS is at present: its name is resolved again and again, the last good answer is kept, and an address that does
//! not answer is left aside until it can be connected to again, which no client has to try.
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

/// How long an address is left aside at first; twice as long each time, up to the second.
const ASIDE: Duration = Duration::from_secs(5);
const ASIDE_MAX: Duration = Duration::from_secs(60);

/// How many requests in a row an address may leave without an answer.
const SILENT_MAX: u32 = 2;

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

#[derive(Clone)]
struct Address {
    socket: SocketAddr,
    /// While it is left aside: when it is worth a try.
    aside_until: Option<Instant>,
    /// For how long it was left aside last, since it answered.
    aside_for: Option<Duration>,
    /// How many requests it left without an answer, since it answered.
    silent: u32,
    answered: Option<Instant>,
}

impl Address {
    fn new(socket: SocketAddr) -> Self {
        Self { socket, aside_until: None, aside_for: None, silent: 0, answered: None }
    }

    fn leave_aside(&mut self, now: Instant) {
        let time = self.aside_for.map_or(ASIDE, |before| (before * 2).min(ASIDE_MAX));
        self.aside_for = Some(time);
        self.aside_until = Some(now + time);
    }
}

/// What an address did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// It answered, whatever it said.
    Answer,
    /// It could be connected to, by nobody who wanted something.
    Connect,
    /// It could not be connected to.
    NotConnect,
    /// It left something without an answer that was begun then.
    NotAnswer(Instant),
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
            addresses.take(&[SocketAddr::new(literal, addresses.endpoint.port)], Instant::now());
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
    pub fn take(&self, answer: &[SocketAddr], now: Instant) -> Resolved {
        let mut sockets: Vec<SocketAddr> = answer.iter().copied().filter(|it| self.may_be_dialled(it.ip())).collect();
        sockets.dedup();
        sockets.truncate(ADDRESSES_MAX);
        if sockets.is_empty() {
            return Resolved::Unusable;
        }
        let mut known = self.lock();
        let before = |socket: &SocketAddr| known.all.iter().find(|address| address.socket == *socket).cloned();
        // Where another one is good, a new one is tried before a request depends on it.
        let is_good = |socket: &SocketAddr| before(socket).is_some_and(|address| address.aside_until.is_none());
        let aside_until = sockets.iter().any(is_good).then_some(now);
        let new = |socket: &SocketAddr| Address { aside_until, ..Address::new(*socket) };
        let all = sockets.iter().map(|socket| before(socket).unwrap_or_else(|| new(socket))).collect();
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
    pub fn in_turn(&self) -> Vec<SocketAddr> {
        let mut known = self.lock();
        known.turn = known.turn.wrapping_add(1);
        let (turn, count) = (known.turn, known.all.len().max(1));
        let (front, back) = known.all.split_at_checked(turn % count).unwrap_or((&[], &known.all));
        let in_turn = back.iter().chain(front);
        let is_aside = |address: &&Address| address.aside_until.is_some();
        let (aside, good): (Vec<&Address>, Vec<&Address>) = in_turn.partition(is_aside);
        good.into_iter().chain(aside).map(|address| address.socket).collect()
    }

    /// Notes what an address did. Whether it was left aside before, and whether it is now.
    pub fn tried(&self, socket: SocketAddr, did: Did, now: Instant) -> (bool, bool) {
        let mut known = self.lock();
        let Some(address) = known.all.iter_mut().find(|address| address.socket == socket) else {
            return (false, false);
        };
        let before = address.aside_until.is_some();
        match did {
            Did::Answer => *address = Address { answered: Some(now), ..Address::new(socket) },
            // What it does with a request is another matter: once more without an answer, and it is left aside longer.
            Did::Connect => address.aside_until = None,
            Did::NotConnect => address.leave_aside(now),
            Did::NotAnswer(begun) if address.answered.is_some_and(|answered| answered >= begun) => {}
            Did::NotAnswer(_) => {
                address.silent = address.silent.saturating_add(1);
                if address.silent >= SILENT_MAX {
                    address.leave_aside(now);
                }
            }
        }
        (before, address.aside_until.is_some())
    }

    /// Those that are left aside and worth a try; each is worth another one only later.
    pub fn worth_a_try(&self, now: Instant) -> Vec<SocketAddr> {
        let mut known = self.lock();
        let due = known.all.iter_mut().filter(|address| address.aside_until.is_some_and(|until| until <= now));
        due.map(|address| {
            address.aside_until = Some(now + address.aside_for.unwrap_or(ASIDE));
            address.socket
        })
        .collect()
    }

    /// How many addresses there are, and how many of them are not left aside.
    pub fn count(&self) -> (usize, usize) {
        let known = self.lock();
        (known.all.len(), known.all.iter().filter(|address| address.aside_until.is_none()).count())
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
            assert_eq!(
                addresses.take(&sockets(&[answer]), Instant::now()) == Resolved::Usable(1),
                expected,
                "{answer}"
            );
        }
        assert_eq!(named("127.0.0.1", &[]).in_turn(), sockets(&["127.0.0.1"]));
        assert_eq!(named("169.254.169.254", &[]).in_turn(), []);
    }

    /// H07: the last good answer stays, and an answer is as long as it may be.
    #[test]
    fn a_bad_answer_changes_nothing() {
        let addresses = named("kms.example", &[]);
        assert_eq!(addresses.in_turn(), []);
        assert_eq!(addresses.take(&sockets(&["203.0.113.1", "127.0.0.1"]), Instant::now()), Resolved::Usable(1));
        for bad in [&[][..], &["127.0.0.1"]] {
            assert_eq!(addresses.take(&sockets(bad), Instant::now()), Resolved::Unusable);
            assert_eq!(addresses.in_turn(), sockets(&["203.0.113.1"]));
        }
        let many: Vec<String> = (0..1000).map(|at| format!("10.0.{}.{}", at / 250, at % 250 + 1)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(addresses.take(&sockets(&many), Instant::now()), Resolved::Usable(ADDRESSES_MAX));
    }

    #[test]
    fn every_address_has_its_turn_and_a_dead_one_is_left_aside() {
        let (addresses, now) = (named("kms.example", &[]), Instant::now());
        let all = sockets(&["203.0.113.1", "203.0.113.2", "203.0.113.3"]);
        addresses.take(&all, now);
        let firsts: Vec<SocketAddr> = (0..3).map(|_| addresses.in_turn()[0]).collect();
        assert!(all.iter().all(|socket| firsts.contains(socket)), "{firsts:?}");
        assert_eq!(addresses.tried(all[0], Did::NotConnect, now), (false, true));
        for _ in 0..6 {
            assert_eq!(*addresses.in_turn().last().unwrap(), all[0]);
        }
        addresses.take(&all, now);
        assert_eq!(addresses.count(), (3, 2), "a new answer does not heal it");
        assert_eq!(addresses.worth_a_try(now), []);
        let later = now + ASIDE;
        assert_eq!(addresses.worth_a_try(later), [all[0]]);
        assert_eq!(addresses.worth_a_try(later), [], "one try is enough");
        assert_eq!(addresses.count(), (3, 2));
        addresses.tried(all[0], Did::NotConnect, later);
        assert_eq!(addresses.worth_a_try(later + ASIDE), [], "twice as long");
        assert_eq!(addresses.worth_a_try(later + 2 * ASIDE), [all[0]]);
        assert_eq!(addresses.tried(all[0], Did::Connect, later), (true, false));
        assert_eq!(addresses.count(), (3, 3));
    }

    #[test]
    fn a_new_address_is_tried_before_anything_depends_on_it() {
        let (addresses, now) = (named("kms.example", &[]), Instant::now());
        addresses.take(&sockets(&["203.0.113.1"]), now);
        let both = sockets(&["203.0.113.1", "203.0.113.2"]);
        addresses.take(&both, now);
        assert_eq!((addresses.in_turn()[0], addresses.in_turn()[0]), (both[0], both[0]));
        assert_eq!(addresses.worth_a_try(now), [both[1]]);
        addresses.tried(both[1], Did::Connect, now);
        assert_ne!(addresses.in_turn()[0], addresses.in_turn()[0]);
        let others = sockets(&["203.0.113.3"]);
        addresses.take(&others, now);
        assert_eq!(addresses.count(), (1, 1), "there is no other one");
    }

    #[test]
    fn an_address_that_takes_connections_and_says_nothing_is_left_aside() {
        let (addresses, begun) = (named("kms.example", &[]), Instant::now());
        let all = sockets(&["203.0.113.1", "203.0.113.2"]);
        addresses.take(&all, begun);
        let now = begun + ASIDE;
        addresses.tried(all[0], Did::Answer, now);
        for _ in 0..9 {
            let slow = addresses.tried(all[0], Did::NotAnswer(begun), now);
            assert_eq!(slow, (false, false), "it answered others meanwhile");
        }
        addresses.tried(all[0], Did::NotAnswer(now + ASIDE), now + 2 * ASIDE);
        assert_eq!(addresses.count(), (2, 2));
        addresses.tried(all[0], Did::NotAnswer(now + ASIDE), now + 2 * ASIDE);
        assert_eq!(addresses.count(), (2, 1));
        addresses.tried(all[0], Did::Connect, now + 3 * ASIDE);
        addresses.tried(all[0], Did::NotAnswer(now + 3 * ASIDE), now + 4 * ASIDE);
        assert_eq!(addresses.count(), (2, 1), "once more is enough");
        addresses.tried(all[0], Did::Answer, now + 4 * ASIDE);
        addresses.tried(all[0], Did::NotAnswer(now + 5 * ASIDE), now + 5 * ASIDE);
        assert_eq!(addresses.count(), (2, 2));
    }
}
