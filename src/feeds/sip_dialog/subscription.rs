//! One subscription from its first SUBSCRIBE to its end, and the next one behind it (RFC 6665 4.1). Pure: messages and the time come in,
//! [`Out`]s go out.

mod dialog;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::digest::{Asked, Challenge, Credentials};
use super::limits::Limits;
use super::request::{Due, Request, Timers};
use super::server::{Server, Transport};
use crate::feeds::sip::{Message, Name, Params, subscribe, target};
use crate::secret::Secret;
use dialog::Dialog;

/// Rounds of challenges that a server may ask for with `stale=true` before it is not believed any more.
const MAX_CHALLENGES: u32 = 4;
/// No subscription is refreshed more often than this, whatever the server grants.
const MIN_REFRESH: Duration = Duration::from_secs(5);
/// The longest wait that a server's Retry-After is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// The longest subscription: what a server says beyond is taken for this.
const MAX_EXPIRES: Duration = Duration::from_hours(24);

/// Who subscribes, and at which server.
#[derive(Debug)]
pub struct Account {
    pub username: String,
    pub password: Secret,
    pub server: Server,
    /// `host:port` of this side, as the server reaches it.
    pub local: String,
    pub limits: Limits,
}

/// What a subscription tells its owner.
#[derive(Debug, PartialEq, Eq)]
pub enum Out {
    Send(Vec<u8>),
    /// It was up, and is not any more.
    Lost(String),
    /// It does not come up, and this is why.
    Refused(String),
    /// The account itself is refused: all of the feed's subscriptions will be.
    Unauthorized(String),
}

/// What becomes of a NOTIFY.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Take what it says.
    Take,
    /// Answer it, and no more: an empty one, or one that ends the subscription without saying anything.
    Nothing,
    /// Answer it with this code.
    Refuse(u16),
}

#[derive(Debug)]
enum Phase {
    /// The next SUBSCRIBE goes out then.
    Waiting(Instant),
    /// A SUBSCRIBE that makes the dialog is on its way.
    Asking,
    Active(Times),
    /// It is being given up.
    Leaving,
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    refresh_at: Instant,
    expires_at: Instant,
    /// RFC 6665 4.1.2.4, timer N: a NOTIFY must have come by then.
    notify_by: Option<Instant>,
}

#[derive(Debug)]
pub struct Subscription {
    account: Arc<Account>,
    /// The URI that is watched.
    resource: String,
    accept: &'static str,
    supported: Option<&'static str>,
    phase: Phase,
    dialog: Dialog,
    pending: Option<Request>,
    challenges: Vec<Challenge>,
    /// Requests with the nonces that are known now.
    nonce_uses: u32,
    /// Challenges to the request on its way.
    rounds: u32,
    expires: Duration,
    /// When it came up.
    since: Option<Instant>,
    /// Subscriptions in a row that did not come up, or not for long.
    failures: u32,
}

impl Subscription {
    /// To one extension's dialogs; the first SUBSCRIBE goes out at `start`.
    pub fn to_extension(account: Arc<Account>, extension: &str, start: Instant) -> Self {
        let resource = format!("sip:{extension}@{}", account.server.domain);
        Self::new(account, resource, "application/dialog-info+xml", None, start)
    }

    /// To a resource list (RFC 4662).
    pub fn to_list(account: Arc<Account>, list: &str, start: Instant) -> Self {
        let accept = "application/dialog-info+xml, application/rlmi+xml, multipart/related";
        Self::new(account, list.to_owned(), accept, Some("eventlist"), start)
    }

    fn new(
        account: Arc<Account>,
        resource: String,
        accept: &'static str,
        supported: Option<&'static str>,
        start: Instant,
    ) -> Self {
        let expires = account.limits.expires;
        Self {
            dialog: Dialog::new(),
            account,
            resource,
            accept,
            supported,
            phase: Phase::Waiting(start),
            pending: None,
            challenges: Vec::new(),
            nonce_uses: 0,
            rounds: 0,
            expires,
            since: None,
            failures: 0,
        }
    }

    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.dialog.call_id
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// When [`clock`](Self::clock) is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Waiting(until) => Some(*until),
            Phase::Active(times) if self.pending.is_none() => {
                Some(times.notify_by.map_or(times.refresh_at, |by| by.min(times.refresh_at)))
            }
            Phase::Active(_) | Phase::Asking | Phase::Leaving | Phase::Over => None,
        };
        self.pending.as_ref().map(Request::deadline).into_iter().chain(phase).min()
    }

    /// Time has passed.
    pub fn clock(&mut self, now: Instant) -> Vec<Out> {
        let mut out = Vec::new();
        if let Some(pending) = &mut self.pending {
            match pending.clock(now) {
                Due::Nothing => {}
                Due::SendAgain => out.push(Out::Send(pending.bytes.clone())),
                Due::TimedOut => {
                    let pause = self.account.limits.pause;
                    self.end("the PBX does not answer", pause, now, &mut out);
                    return out;
                }
            }
        }
        match &self.phase {
            Phase::Waiting(until) if *until <= now => {
                self.dialog = Dialog::new();
                self.phase = Phase::Asking;
                self.ask(now, &mut out);
            }
            Phase::Active(times) if times.notify_by.is_some_and(|by| by <= now) => {
                self.end("the PBX accepted the subscription and sends no NOTIFY", Duration::ZERO, now, &mut out);
            }
            Phase::Active(times) if times.refresh_at <= now && self.pending.is_none() => self.ask(now, &mut out),
            Phase::Waiting(_) | Phase::Active(_) | Phase::Asking | Phase::Leaving | Phase::Over => {}
        }
        out
    }

    /// Asks for the whole state now, because some of it was missed (RFC 4235 3.10).
    pub fn refresh(&mut self, now: Instant) -> Vec<Out> {
        let mut out = Vec::new();
        if let (Phase::Active(_), None) = (&self.phase, &self.pending) {
            self.ask(now, &mut out);
        }
        out
    }

    /// Takes leave of the server, if it knows of us.
    pub fn leave(&mut self, now: Instant) -> Vec<Out> {
        let mut out = Vec::new();
        let knows = matches!(self.phase, Phase::Active(_));
        self.phase = if knows { Phase::Leaving } else { Phase::Over };
        self.pending = None;
        if knows {
            self.expires = Duration::ZERO;
            self.ask(now, &mut out);
        }
        out
    }

    // ---- what goes out

    fn ask(&mut self, now: Instant, out: &mut Vec<Out>) {
        self.rounds = 0;
        self.send(now, out);
    }

    fn send(&mut self, now: Instant, out: &mut Vec<Out>) {
        let resource = self.dialog.target.clone().unwrap_or_else(|| self.resource.clone());
        let Some(uri) = target(&resource) else {
            let reason = "the address that is subscribed to is none; set `domain`, or `list`, right";
            return self.end(reason, self.account.limits.long_pause, now, out);
        };
        self.dialog.cseq += 1;
        let branch = format!("z9hG4bK{}", dialog::random());
        let (account, server) = (&self.account, &self.account.server);
        let own = format!("sip:{}@{}", account.username, server.domain);
        let mut fields = vec![
            ("Via", format!("SIP/2.0/{} {};branch={branch};rport", server.transport.name(), account.local)),
            ("Max-Forwards", "70".to_owned()),
        ];
        fields.extend(self.dialog.routes.iter().map(|route| ("Route", route.clone())));
        fields.extend([
            ("From", format!("<{own}>;tag={}", self.dialog.local_tag)),
            ("To", self.dialog.to(&self.resource)),
            ("Call-ID", self.dialog.call_id.clone()),
            ("CSeq", format!("{} SUBSCRIBE", self.dialog.cseq)),
            ("Contact", format!("<sip:{}@{}{}>", account.username, account.local, server.transport.param())),
            ("User-Agent", concat!("ctibridge/", env!("CARGO_PKG_VERSION")).to_owned()),
            ("Event", "dialog".to_owned()),
            ("Accept", self.accept.to_owned()),
            ("Expires", self.expires.as_secs().to_string()),
        ]);
        fields.extend(self.supported.map(|supported| ("Supported", supported.to_owned())));
        fields.extend(self.answers(&uri.to_string()));
        let bytes = subscribe(uri, &fields);
        let is_reliable = self.account.server.transport != Transport::Udp;
        let timers = Timers { t1: self.account.limits.t1, t2: self.account.limits.t2, is_reliable };
        self.pending = Some(Request::new(bytes.clone(), branch, self.dialog.cseq, timers, now));
        out.push(Out::Send(bytes));
    }

    fn answers(&mut self, uri: &str) -> Vec<(&'static str, String)> {
        if self.challenges.is_empty() {
            return Vec::new();
        }
        self.nonce_uses += 1;
        let who = Credentials { username: &self.account.username, password: self.account.password.expose() };
        let cnonce = dialog::random();
        let asked = Asked { method: "SUBSCRIBE", uri, cnonce: &cnonce, count: self.nonce_uses };
        self.challenges.iter().map(|challenge| (challenge.field(), challenge.answer(&who, &asked))).collect()
    }

    // ---- responses

    /// A response with this subscription's Call-ID.
    pub fn response(&mut self, message: &Message<'_>, now: Instant) -> Vec<Out> {
        let mut out = Vec::new();
        let branch = message.via().map(|via| via.branch().to_owned()).unwrap_or_default();
        let (Some(code), Some(cseq)) = (message.code(), message.cseq()) else {
            return out;
        };
        let Some(pending) = self.pending.as_mut().filter(|it| it.branch == branch && it.cseq == cseq.number) else {
            return out;
        };
        if code < 200 {
            pending.is_worked_on();
            return out;
        }
        self.pending = None;
        match (code, &self.phase) {
            (_, Phase::Leaving) if !matches!(code, 401 | 407) => self.phase = Phase::Over,
            (200..=299, _) => self.accepted(message, now),
            (401 | 407, _) => self.challenged(message, code, now, &mut out),
            (423, _) => self.too_brief(message, now, &mut out),
            (_, Phase::Active(times)) if !ends_dialog(code) && times.expires_at > now => {
                let times = *times;
                self.try_refresh_later(message, times, now);
            }
            (_, Phase::Active(_)) => {
                self.end(
                    &format!("the PBX does not know the subscription any more ({code})"),
                    Duration::ZERO,
                    now,
                    &mut out,
                );
            }
            (_, _) => self.refused(message, code, now, &mut out),
        }
        out
    }

    fn accepted(&mut self, message: &Message<'_>, now: Instant) {
        self.dialog.accepted(message);
        let granted = seconds(message, Name::Expires).unwrap_or(self.expires);
        let heard = self.dialog.remote_cseq.is_some();
        let notify_by = (!heard).then(|| now + self.account.limits.t1 * 64);
        self.phase = Phase::Active(times(granted, now, notify_by));
        self.since.get_or_insert(now);
    }

    fn challenged(&mut self, message: &Message<'_>, code: u16, now: Instant, out: &mut Vec<Out>) {
        let (name, by_proxy) =
            if code == 407 { (Name::ProxyAuthenticate, true) } else { (Name::WwwAuthenticate, false) };
        // Of what a server offers, the first that is known is its preference (RFC 8760 2.6).
        let Some(challenge) = message.lines(name).find_map(|line| Challenge::read(line, by_proxy)) else {
            let reason = format!("the PBX asks ({code}) for an authentication other than a digest with MD5 or SHA-256");
            return self.end(&reason, self.account.limits.long_pause, now, out);
        };
        let is_of_same = |known: &&Challenge| known.by_proxy == by_proxy && known.realm == challenge.realm;
        let answered = self.rounds > 0 && self.challenges.iter().any(|known| is_of_same(&known));
        self.rounds += 1;
        if (answered && !challenge.is_stale) || self.rounds > MAX_CHALLENGES {
            let reason = format!(
                "the PBX refuses user `{}` ({code}): check `username` and `password`",
                self.account.username.escape_debug()
            );
            self.end(&reason, self.account.limits.long_pause, now, out);
            out.push(Out::Unauthorized(reason));
            return;
        }
        self.challenges.retain(|known| !is_of_same(&known));
        self.challenges.push(challenge);
        self.nonce_uses = 0;
        self.send(now, out);
    }

    fn too_brief(&mut self, message: &Message<'_>, now: Instant, out: &mut Vec<Out>) {
        match seconds(message, Name::MinExpires).filter(|least| *least > self.expires) {
            Some(least) => {
                self.expires = least;
                self.ask(now, out);
            }
            None => self.refused(message, 423, now, out),
        }
    }

    /// The subscription still holds; only its refresh was turned away for now (RFC 6665 4.1.2.2).
    fn try_refresh_later(&mut self, message: &Message<'_>, times: Times, now: Instant) {
        let wait = retry_after(message).unwrap_or(MIN_REFRESH).max(MIN_REFRESH);
        self.phase = Phase::Active(Times { refresh_at: (now + wait).min(times.expires_at), ..times });
    }

    fn refused(&mut self, message: &Message<'_>, code: u16, now: Instant, out: &mut Vec<Out>) {
        let limits = &self.account.limits;
        let (advice, pause) = match code {
            403 => (": allow this user to subscribe to it", limits.long_pause),
            404 => (": it has no such extension, or no hint or presence for it", limits.long_pause),
            405 | 489 | 501 => (": it does not offer dialog events; switch on BLF or presence", limits.long_pause),
            _ => ("", limits.pause),
        };
        let pause = retry_after(message).unwrap_or(pause);
        self.end(&format!("the PBX refuses the subscription ({code}){advice}"), pause, now, out);
    }

    // ---- notifications

    /// A NOTIFY with this subscription's Call-ID: is it ours, and what becomes of it?
    pub fn notify(&mut self, message: &Message<'_>, now: Instant, out: &mut Vec<Out>) -> Verdict {
        let Ok(essentials) = message.essentials() else {
            return Verdict::Refuse(400);
        };
        let expected = matches!(self.phase, Phase::Asking | Phase::Active(_) | Phase::Leaving);
        if !expected || !self.dialog.is_from_peer(&essentials) {
            return Verdict::Refuse(481);
        }
        let event = message.header(Name::Event).unwrap_or_default();
        if !event.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("dialog")) {
            return Verdict::Refuse(489);
        }
        if !self.dialog.is_next(essentials.cseq.number) {
            return Verdict::Refuse(500);
        }
        let Some(state) = message.header(Name::SubscriptionState) else {
            return Verdict::Refuse(400);
        };
        self.dialog.heard(message, &essentials);
        let (word, params) = state.split_once(';').unwrap_or((state, ""));
        let params = Params(params);
        if word.trim().eq_ignore_ascii_case("terminated") {
            self.terminated(&params, now, out);
            return Verdict::Nothing;
        }
        self.is_active_until(&params, now);
        if word.trim().eq_ignore_ascii_case("pending") { Verdict::Nothing } else { Verdict::Take }
    }

    fn is_active_until(&mut self, params: &Params<'_>, now: Instant) {
        let told = params.get("expires").and_then(|text| text.parse().ok()).map(lifetime);
        match &mut self.phase {
            Phase::Active(known) => {
                known.notify_by = None;
                let sooner = told.map(|left| times(left, now, None)).filter(|it| it.expires_at < known.expires_at);
                *known = sooner.map_or(*known, |it| Times { refresh_at: it.refresh_at.min(known.refresh_at), ..it });
            }
            Phase::Waiting(_) | Phase::Asking | Phase::Leaving | Phase::Over => {}
        }
    }

    /// RFC 6665 4.1.3: each reason has its own wait.
    fn terminated(&mut self, params: &Params<'_>, now: Instant, out: &mut Vec<Out>) {
        if matches!(self.phase, Phase::Leaving) {
            self.phase = Phase::Over;
            return;
        }
        let limits = &self.account.limits;
        let told = params.get("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let told = told.map(|wait| wait.min(MAX_RETRY_AFTER));
        let reason = params.get("reason").unwrap_or_default().to_ascii_lowercase();
        let pause = match reason.as_str() {
            "deactivated" | "timeout" => Duration::ZERO,
            "rejected" | "noresource" | "invariant" => limits.long_pause,
            _ => told.unwrap_or(limits.pause),
        };
        let why = if reason.is_empty() || !reason.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            "the PBX ended the subscription".to_owned()
        } else {
            format!("the PBX ended the subscription ({reason})")
        };
        self.pending = None;
        self.end(&why, pause, now, out);
    }

    /// This subscription is over; the next one begins after the pause, and later each time that it fails.
    fn end(&mut self, reason: &str, pause: Duration, now: Instant, out: &mut Vec<Out>) {
        let was_up = matches!(self.phase, Phase::Active(_));
        self.pending = None;
        if matches!(self.phase, Phase::Leaving | Phase::Over) {
            self.phase = Phase::Over;
            return;
        }
        let retry = &self.account.limits.retry;
        let was_good = self.since.is_some_and(|since| now.saturating_duration_since(since) >= retry.settled);
        self.failures = if was_up && was_good { 0 } else { self.failures.saturating_add(1) };
        let least = match self.failures {
            0 | 1 => Duration::ZERO,
            more => (retry.first * 2_u32.saturating_pow(more.min(16))).min(retry.cap),
        };
        self.since = None;
        let wait = jitter(pause.max(least));
        self.phase = Phase::Waiting(now + wait);
        out.push(if was_up { Out::Lost(reason.to_owned()) } else { Out::Refused(reason.to_owned()) });
    }
}

/// Responses to a refresh after which there is no subscription (RFC 6665 4.1.2.2, RFC 5057 5).
fn ends_dialog(code: u16) -> bool {
    matches!(code, 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}

/// Refreshed at 90 % of what is granted, less up to a tenth of that.
fn times(granted: Duration, now: Instant, notify_by: Option<Instant>) -> Times {
    let refresh = granted.mul_f64(0.9 - 0.09 * fastrand::f64()).max(MIN_REFRESH);
    Times { refresh_at: now + refresh, expires_at: now + granted.max(MIN_REFRESH), notify_by }
}

fn seconds(message: &Message<'_>, name: Name) -> Option<Duration> {
    let text = message.header(name)?;
    text.split(';').next()?.trim().parse().ok().map(lifetime)
}

fn lifetime(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(MAX_EXPIRES)
}

/// RFC 3261 20.33, where a comment in brackets may follow.
fn retry_after(message: &Message<'_>) -> Option<Duration> {
    let text = message.header(Name::RetryAfter)?;
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Duration::from_secs).map(|wait| wait.min(MAX_RETRY_AFTER))
}

fn jitter(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + 0.1 * fastrand::f64())
}

#[cfg(test)]
mod tests;
