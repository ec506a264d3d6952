//! How long and how much: the times and sizes of subscriptions.

use std::time::Duration;

use crate::feeds::session;

#[derive(Debug, Clone)]
pub struct Limits {
    pub retry: session::Retry,
    /// For a connection, its TLS included.
    pub connect: Duration,
    /// How long a subscription is asked to last.
    pub expires: Duration,
    /// RFC 3261 17: the estimate of a round trip, and the longest wait between two tries.
    pub t1: Duration,
    pub t2: Duration,
    /// How often line ends are sent to keep the connection open (RFC 5626 4.4.1).
    pub keep_alive: Duration,
    /// Between the first SUBSCRIBEs of two extensions, so that a PBX with a thousand of them is not flooded.
    pub stagger: Duration,
    /// After a refusal that a new try may mend.
    pub pause: Duration,
    /// After a refusal that only the operator can mend.
    pub long_pause: Duration,
    /// For the PBX to take leave when the program stops.
    pub leave: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            retry: session::Retry::default(),
            connect: Duration::from_secs(10),
            expires: Duration::from_mins(5),
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            keep_alive: Duration::from_secs(25),
            stagger: Duration::from_millis(5),
            pause: Duration::from_secs(30),
            long_pause: Duration::from_mins(10),
            leave: Duration::from_secs(2),
        }
    }
}
