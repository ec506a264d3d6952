//! Wrong tokens are counted per client, so that guessing is slow and cheap to refuse.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Wrong tokens that a client may send at once.
const BURST: u32 = 60;
/// How long until one of them is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(1);
/// Clients that are remembered; beyond it the one that is forgiven soonest is forgotten.
const MAX_CLIENTS: usize = 4096;

/// For each client, when all its wrong tokens will be forgiven.
#[derive(Default)]
pub(super) struct Guesses(Mutex<BTreeMap<IpAddr, Instant>>);

impl Guesses {
    /// Whether the client has used up its wrong tokens.
    pub fn are_used_up(&self, client: IpAddr) -> bool {
        self.are_used_up_at(client, Instant::now())
    }

    /// Counts a wrong token.
    pub fn count(&self, client: IpAddr) {
        self.count_at(client, Instant::now());
    }

    fn are_used_up_at(&self, client: IpAddr, now: Instant) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&home(client)).is_some_and(|forgiven| forgiven.duration_since(now) > FORGIVEN_AFTER * (BURST - 1))
    }

    fn count_at(&self, client: IpAddr, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let client = home(client);
        if known.len() >= MAX_CLIENTS && !known.contains_key(&client) {
            make_room(&mut known, now);
        }
        let forgiven = known.entry(client).or_insert(now);
        let latest = now + FORGIVEN_AFTER * BURST;
        *forgiven = ((*forgiven).max(now) + FORGIVEN_AFTER).min(latest);
    }
}

fn make_room(known: &mut BTreeMap<IpAddr, Instant>, now: Instant) {
    known.retain(|_, forgiven| *forgiven > now);
    let soonest = known.iter().min_by_key(|(_, forgiven)| **forgiven).map(|(client, _)| *client);
    if known.len() >= MAX_CLIENTS
        && let Some(client) = soonest
    {
        known.remove(&client);
    }
}

/// One IPv6 client has a whole /64 to call from.
fn home(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(last).into()
    }

    #[test]
    fn a_burst_is_allowed_and_forgiven_one_by_one() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..BURST {
            assert!(!guesses.are_used_up_at(address(1), now));
            guesses.count_at(address(1), now);
        }
        assert!(guesses.are_used_up_at(address(1), now));
        assert!(!guesses.are_used_up_at(address(2), now));
        assert!(!guesses.are_used_up_at(address(1), now + FORGIVEN_AFTER));
    }

    #[test]
    fn memory_is_bounded_and_a_network_is_one_client() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for client in 0..4200 {
            guesses.count_at(address(client), now);
        }
        assert_eq!(guesses.0.lock().unwrap().len(), MAX_CLIENTS);
        let host = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 0..BURST {
            guesses.count_at(host("2001:db8::1"), now);
        }
        assert!(guesses.are_used_up_at(host("2001:db8::2"), now));
    }
}
