//! A request of ours on its way: the client's side of a transaction that is not an INVITE (RFC 3261 17.1.2). Pure.

use std::time::{Duration, Instant};

/// Times of a transaction.
#[derive(Debug, Clone, Copy)]
pub struct Timers {
    pub t1: Duration,
    pub t2: Duration,
    /// The transport delivers: nothing is sent twice.
    pub is_reliable: bool,
}

#[derive(Debug)]
pub struct Request {
    pub bytes: Vec<u8>,
    pub branch: String,
    pub cseq: u32,
    timers: Timers,
    /// Timer E: when to send it again, and the wait behind that.
    again: Option<(Instant, Duration)>,
    /// Timer F.
    gives_up: Instant,
}

/// What time does to a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    Nothing,
    SendAgain,
    TimedOut,
}

impl Request {
    pub fn new(bytes: Vec<u8>, branch: String, cseq: u32, timers: Timers, now: Instant) -> Self {
        Self {
            bytes,
            branch,
            cseq,
            timers,
            again: (!timers.is_reliable).then_some((now + timers.t1, timers.t1)),
            gives_up: now + timers.t1 * 64,
        }
    }

    /// The other side works on it: from now on it is asked again at the longest wait only.
    pub fn is_worked_on(&mut self) {
        if let Some((_, wait)) = &mut self.again {
            *wait = self.timers.t2;
        }
    }

    pub fn deadline(&self) -> Instant {
        self.again.map_or(self.gives_up, |(at, _)| at.min(self.gives_up))
    }

    pub fn clock(&mut self, now: Instant) -> Due {
        if now >= self.gives_up {
            return Due::TimedOut;
        }
        match self.again {
            Some((at, wait)) if now >= at => {
                let next = (wait * 2).min(self.timers.t2);
                self.again = Some((now + next, next));
                Due::SendAgain
            }
            Some(_) | None => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(is_reliable: bool, worked_on: bool) -> Vec<u128> {
        let start = Instant::now();
        let timers = Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), is_reliable };
        let mut request = Request::new(Vec::new(), String::new(), 1, timers, start);
        if worked_on {
            request.is_worked_on();
        }
        let mut at = Vec::new();
        loop {
            let now = request.deadline();
            at.push(now.duration_since(start).as_millis());
            if request.clock(now) == Due::TimedOut {
                return at;
            }
        }
    }

    #[test]
    fn it_is_sent_again_at_doubling_waits_and_given_up_after_64_round_trips() {
        assert_eq!(waits(false, false), [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500, 32000]);
    }

    #[test]
    fn it_is_sent_seldom_once_the_other_side_works_on_it_and_once_only_where_nothing_is_lost() {
        assert_eq!(waits(false, true)[..3], [500, 4500, 8500]);
        assert_eq!(waits(true, false), [32000]);
    }
}
