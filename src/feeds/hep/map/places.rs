//! Where messages come from and go to: which end is the phone system, what leads outside, whose phone is where.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::calls::event::Side;
use crate::calls::record::Extension;
use crate::feeds::sip::{Message, Name, NameAddr, Uri};

/// Pairs of addresses that are remembered; by then it is known which one is the phone system.
const MAX_PAIRS: usize = 65_536;
/// Phones whose registrations are remembered; when there are more, the oldest go.
const MAX_BINDINGS: usize = 100_000;
/// A registration that says nothing of its time.
const USUAL_EXPIRY: Duration = Duration::from_hours(1);

/// What leads outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trunk {
    Address(IpAddr, Option<u16>),
    Domain(String),
}

/// A text that is neither an address nor a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither an address nor a domain; expected one such as 192.0.2.1, 192.0.2.1:5060, [2001:db8::1]:5060 or carrier.example"
)]
pub struct NotATrunk(String);

impl Trunk {
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, NotATrunk> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Address(address.ip().to_canonical(), Some(address.port())));
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical(), None));
        }
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let is_name = text.split('.').all(is_label) && text.bytes().any(|byte| byte.is_ascii_alphabetic());
        if is_name && text.len() <= 253 {
            Ok(Self::Domain(text.to_ascii_lowercase()))
        } else {
            Err(NotATrunk(text.into()))
        }
    }
}

/// Which end of a message is not the phone system's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FarEnd {
    Source,
    Destination,
}

#[derive(Debug)]
struct Binding {
    user: String,
    until: Instant,
}

#[derive(Debug)]
pub struct Places {
    trunks: Vec<Trunk>,
    /// Which agent's a device is, by its name without the technology.
    devices: BTreeMap<String, Extension>,
    /// Who is registered, by `user@host:port` of the contact and by the address that the registration came from.
    contacts: HashMap<String, Binding>,
    addresses: HashMap<SocketAddr, Binding>,
    hubs: Hubs,
}

impl Places {
    pub fn new(trunks: Vec<Trunk>, devices: &BTreeMap<String, Extension>) -> Self {
        let plain = |name: &String| name.rsplit('/').next().unwrap_or_default().to_owned();
        let devices = devices.iter().map(|(name, extension)| (plain(name), extension.clone())).collect();
        Self { trunks, devices, contacts: HashMap::new(), addresses: HashMap::new(), hubs: Hubs::default() }
    }

    /// Which end of an INVITE that begins a call is not the phone system: a trunk, a registered phone, else the one that
    /// speaks with fewer others; of two strangers, the one who sent it, unless somebody has passed it on.
    pub fn far_end(&mut self, source: SocketAddr, destination: SocketAddr, invite: &Message<'_>) -> FarEnd {
        self.hubs.see(source, destination);
        for known in [
            [self.is_trunk_address(source), self.is_trunk_address(destination)],
            [self.comes_from_trunk(invite), self.goes_to_trunk(invite)],
            [self.addresses.contains_key(&source), self.addresses.contains_key(&destination)],
        ] {
            match known {
                [true, false] => return FarEnd::Source,
                [false, true] => return FarEnd::Destination,
                [true, true] | [false, false] => {}
            }
        }
        let passed_on = invite.values(Name::Via).nth(1).is_some();
        match self.hubs.busier(source, destination) {
            Some(busier) if busier == source => FarEnd::Destination,
            None if passed_on => FarEnd::Destination,
            Some(_) | None => FarEnd::Source,
        }
    }

    /// Whose the far end is that sent this INVITE.
    pub fn side_of_caller(&self, source: SocketAddr, invite: &Message<'_>, from: &NameAddr<'_>) -> Side {
        if self.is_trunk_address(source) || self.comes_from_trunk(invite) {
            return Side::Outside;
        }
        let contact = invite.address(Name::Contact);
        let registered = contact
            .as_ref()
            .and_then(|contact| self.registered(&contact.uri))
            .or_else(|| self.addresses.get(&source).map(|binding| binding.user.as_str()));
        let user = registered.map_or_else(|| from.uri.who().into_owned(), str::to_owned);
        Side::Phone(self.extension(user))
    }

    /// Whose the far end is that this INVITE goes to.
    pub fn side_of_callee(&self, destination: SocketAddr, invite: &Message<'_>, to: &NameAddr<'_>) -> Side {
        if self.is_trunk_address(destination) || self.goes_to_trunk(invite) {
            return Side::Outside;
        }
        let uri = invite.request_uri();
        let registered = uri
            .as_ref()
            .and_then(|uri| self.registered(uri))
            .or_else(|| self.addresses.get(&destination).map(|binding| binding.user.as_str()));
        let user = registered.map_or_else(
            || {
                let requested = uri.map(|uri| uri.who().into_owned()).unwrap_or_default();
                let addressed = to.uri.who();
                if requested.is_empty()
                    || (!self.devices.contains_key(&requested) && self.devices.contains_key(&*addressed))
                {
                    addressed.into_owned()
                } else {
                    requested
                }
            },
            str::to_owned,
        );
        Side::Phone(self.extension(user))
    }

    /// The registrar says which contacts a user has (RFC 3261 10.3): the answer that a phone gets.
    pub fn registered_now(&mut self, answer: &Message<'_>, phone: SocketAddr, registrar: SocketAddr, now: Instant) {
        let Some(user) = answer.address(Name::To).map(|to| to.uri.who().into_owned()).filter(|user| !user.is_empty())
        else {
            return;
        };
        // The phone system itself, which is registered with a carrier.
        if self.is_trunk_address(registrar) {
            return;
        }
        self.hubs.see(phone, registrar);
        if self.contacts.len() >= MAX_BINDINGS || self.addresses.len() >= MAX_BINDINGS {
            self.contacts.retain(|_, binding| binding.until > now);
            self.addresses.retain(|_, binding| binding.until > now);
        }
        if self.contacts.len() >= MAX_BINDINGS || self.addresses.len() >= MAX_BINDINGS {
            return;
        }
        let whole = answer.header(Name::Expires).and_then(|text| text.trim().parse().ok());
        let mut any = false;
        for contact in answer.values(Name::Contact).filter_map(NameAddr::read) {
            let expires = contact.params.get("expires").and_then(|text| text.parse().ok()).or(whole);
            let life = expires.map_or(USUAL_EXPIRY, |seconds: u32| Duration::from_secs(seconds.into()));
            let until = now + life;
            any = true;
            self.contacts.insert(contact_key(&contact.uri), Binding { user: user.clone(), until });
        }
        if any {
            let until = now + whole.map_or(USUAL_EXPIRY, |seconds| Duration::from_secs(seconds.into()));
            self.addresses.insert(phone, Binding { user, until });
        } else {
            self.addresses.remove(&phone);
        }
    }

    fn registered(&self, uri: &Uri<'_>) -> Option<&str> {
        self.contacts.get(&contact_key(uri)).map(|binding| binding.user.as_str())
    }

    fn extension(&self, user: String) -> Extension {
        self.devices.get(&user).cloned().unwrap_or(Extension(user))
    }

    fn is_trunk_address(&self, address: SocketAddr) -> bool {
        self.trunks.iter().any(|trunk| match trunk {
            Trunk::Address(ip, port) => *ip == address.ip() && port.is_none_or(|port| port == address.port()),
            Trunk::Domain(_) => false,
        })
    }

    fn comes_from_trunk(&self, invite: &Message<'_>) -> bool {
        self.has_domains()
            && ([Name::From, Name::Contact, Name::AssertedIdentity]
                .into_iter()
                .any(|name| invite.address(name).is_some_and(|address| self.is_trunk_domain(address.uri.host)))
                || invite.via().is_some_and(|via| self.is_trunk_domain(via.host)))
    }

    fn goes_to_trunk(&self, invite: &Message<'_>) -> bool {
        self.has_domains()
            && (invite.request_uri().is_some_and(|uri| self.is_trunk_domain(uri.host))
                || invite.address(Name::Route).is_some_and(|route| self.is_trunk_domain(route.uri.host)))
    }

    fn has_domains(&self) -> bool {
        self.trunks.iter().any(|trunk| matches!(trunk, Trunk::Domain(_)))
    }

    fn is_trunk_domain(&self, host: &str) -> bool {
        self.trunks.iter().any(|trunk| match trunk {
            Trunk::Domain(domain) => domain.eq_ignore_ascii_case(host),
            Trunk::Address(..) => false,
        })
    }
}

fn contact_key(uri: &Uri<'_>) -> String {
    format!("{}@{}:{}", uri.user, uri.host.to_ascii_lowercase(), uri.port.unwrap_or_default())
}

/// How many others each address speaks with: the phone system is the one that speaks with most.
#[derive(Debug, Default)]
struct Hubs {
    pairs: HashSet<(SocketAddr, SocketAddr)>,
    hosts: HashSet<(IpAddr, IpAddr)>,
    peers: HashMap<SocketAddr, u32>,
    host_peers: HashMap<IpAddr, u32>,
}

impl Hubs {
    fn see(&mut self, one: SocketAddr, other: SocketAddr) {
        if self.pairs.len() >= MAX_PAIRS {
            return;
        }
        if self.pairs.insert((one.min(other), one.max(other))) {
            for address in [one, other] {
                *self.peers.entry(address).or_default() += 1;
            }
        }
        if self.hosts.insert((one.ip().min(other.ip()), one.ip().max(other.ip()))) {
            for host in [one.ip(), other.ip()] {
                *self.host_peers.entry(host).or_default() += 1;
            }
        }
    }

    fn busier(&self, one: SocketAddr, other: SocketAddr) -> Option<SocketAddr> {
        let count = |address: SocketAddr| self.peers.get(&address).copied().unwrap_or_default();
        let hosts = |address: SocketAddr| self.host_peers.get(&address.ip()).copied().unwrap_or_default();
        let order = if one.ip() == other.ip() { count(one).cmp(&count(other)) } else { hosts(one).cmp(&hosts(other)) };
        match order {
            std::cmp::Ordering::Greater => Some(one),
            std::cmp::Ordering::Less => Some(other),
            std::cmp::Ordering::Equal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trunks_are_addresses_or_domains() {
        let address = |text: &str, port| Ok(Trunk::Address(text.parse().unwrap(), port));
        assert_eq!(Trunk::parse("192.0.2.1"), address("192.0.2.1", None));
        assert_eq!(Trunk::parse("192.0.2.1:5080"), address("192.0.2.1", Some(5080)));
        assert_eq!(Trunk::parse("[2001:db8::1]:5060"), address("2001:db8::1", Some(5060)));
        assert_eq!(Trunk::parse("2001:db8::1"), address("2001:db8::1", None));
        assert_eq!(Trunk::parse("SIP.carrier.example"), Ok(Trunk::Domain("sip.carrier.example".into())));
        for text in ["", "PJSIP/trunk", "1.2.3", "sip:carrier.example", "carrier.example:5060", "a b"] {
            assert!(Trunk::parse(text).is_err(), "{text}");
        }
    }
}
