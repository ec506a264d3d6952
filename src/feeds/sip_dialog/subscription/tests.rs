//! What a subscription does with what servers say.

use super::*;

fn account() -> Arc<Account> {
    let server =
        Server { host: "pbx.example".into(), port: None, transport: Transport::Udp, domain: "pbx.example".into() };
    Arc::new(Account {
        username: "cti".into(),
        password: Secret::new("ctisecret"),
        server,
        local: "127.0.0.1:5099".into(),
        limits: Limits::default(),
    })
}

struct Told {
    one: Subscription,
    now: Instant,
    sent: Vec<String>,
    news: Vec<Out>,
}

impl Told {
    fn new() -> Self {
        let now = Instant::now();
        let mut told =
            Self { one: Subscription::to_extension(account(), "201", now), now, sent: Vec::new(), news: Vec::new() };
        told.passes(Duration::ZERO);
        told
    }

    fn take(&mut self, out: Vec<Out>) {
        for out in out {
            match out {
                Out::Send(bytes) => self.sent.push(String::from_utf8(bytes).unwrap()),
                news => self.news.push(news),
            }
        }
    }

    fn passes(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.one.deadline().filter(|due| *due <= until) {
            self.now = due.max(self.now);
            let out = self.one.clock(self.now);
            self.take(out);
        }
        self.now = until;
    }

    /// Until the next message goes out.
    fn passes_until_sent(&mut self) {
        let before = self.sent.len();
        while self.sent.len() == before {
            let due = self.one.deadline().expect("nothing would ever be sent");
            self.passes(due.saturating_duration_since(self.now));
        }
    }

    fn last(&self, name: &str) -> String {
        let message = self.sent.last().unwrap();
        let line = message.lines().find(|line| line.starts_with(&format!("{name}: ")));
        line.map(|line| line[name.len() + 2..].to_owned()).unwrap_or_default()
    }

    /// Answers what was sent last.
    fn answered(&mut self, code: u16, fields: &str) {
        let to = self.last("To");
        let to = if to.contains("tag=") { to } else { format!("{to};tag=pbx") };
        let text = format!(
            "SIP/2.0 {code} x\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{fields}\r\n",
            self.last("Via"),
            self.last("From"),
            self.last("Call-ID"),
            self.last("CSeq"),
        );
        let out = self.one.response(&Message::read(text.as_bytes()).unwrap(), self.now);
        self.take(out);
    }

    fn notified(&mut self, cseq: u32, tag: &str, state: &str) -> Verdict {
        let text = format!(
            "NOTIFY sip:cti@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP pbx;branch=z9hG4bK{cseq}\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\n\
             From: <sip:201@pbx.example>;tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} NOTIFY\r\nContact: <sip:pbx:5062>\r\n\
             Event: dialog;sla\r\nSubscription-State: {state}\r\n\r\n",
            self.last("From"),
            self.one.call_id(),
        );
        let mut out = Vec::new();
        let verdict = self.one.notify(&Message::read(text.as_bytes()).unwrap(), self.now, &mut out);
        self.take(out);
        verdict
    }

    fn up() -> Self {
        let mut told = Self::new();
        told.answered(
            200,
            "Expires: 300\r\nContact: <sip:pbx:5061>\r\nRecord-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>\r\n",
        );
        assert_eq!(told.notified(1, "pbx", "active;expires=300"), Verdict::Take);
        told
    }

    fn is_over(&self) -> bool {
        self.news.iter().any(|news| matches!(news, Out::Lost(_)))
    }
}

const DIGEST: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\n";

#[test]
fn the_first_known_digest_of_several_is_answered_and_its_nonce_is_counted() {
    let mut told = Told::new();
    let several = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=XYZ, qop=\"auth\"\r\n\
        WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"\r\n\
        WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n";
    told.answered(401, several);
    assert!(told.last("Authorization").contains("algorithm=SHA-256, qop=auth, nc=00000001"), "{:?}", told.sent);
    assert_eq!(told.last("CSeq"), "2 SUBSCRIBE");
    told.answered(200, "Expires: 300\r\nContact: <sip:pbx:5061>\r\n");
    told.notified(1, "pbx", "active");
    told.passes_until_sent();
    assert!(told.last("Authorization").contains("nc=00000002"), "{:?}", told.sent);
}

#[test]
fn a_wrong_password_is_tried_once_and_a_stale_nonce_again() {
    let mut told = Told::new();
    told.answered(401, DIGEST);
    told.answered(401, &DIGEST.replace("n1", "n2").replace(", qop", ", stale=true, qop"));
    assert_eq!(told.sent.len(), 3);
    told.answered(401, DIGEST);
    assert_eq!(told.sent.len(), 3);
    assert!(matches!(told.news.last(), Some(Out::Unauthorized(_))), "{:?}", told.news);
}

#[test]
fn a_proxy_and_the_server_behind_it_are_both_answered() {
    let mut told = Told::new();
    told.answered(407, &DIGEST.replace("WWW-", "Proxy-"));
    told.answered(401, DIGEST);
    assert!(!told.last("Proxy-Authorization").is_empty() && !told.last("Authorization").is_empty());
    assert_eq!(told.news, []);
}

#[test]
fn a_nonce_that_grew_old_between_two_refreshes_is_no_wrong_password() {
    let mut told = Told::new();
    told.answered(401, DIGEST);
    told.answered(200, "Expires: 300\r\nContact: <sip:pbx:5061>\r\n");
    told.notified(1, "pbx", "active");
    told.passes_until_sent();
    told.answered(401, &DIGEST.replace("n1", "n2"));
    assert!(told.last("Authorization").contains("nonce=\"n2\""), "{:?}", told.sent);
    assert_eq!(told.news, []);
}

#[test]
fn a_longer_time_is_asked_for_where_the_server_wants_one_and_from_then_on() {
    let mut told = Told::new();
    told.answered(423, "Min-Expires: 900\r\n");
    assert_eq!(told.last("Expires"), "900");
    told.answered(200, "Expires: 900\r\nContact: <sip:pbx:5061>\r\n");
    told.notified(1, "pbx", "active");
    told.passes_until_sent();
    assert_eq!(told.last("Expires"), "900");
    assert!(told.last("To").contains(";tag=pbx"));
}

#[test]
fn it_is_refreshed_at_about_nine_tenths_inside_the_dialog_and_over_the_routes() {
    let mut told = Told::up();
    let start = told.now;
    told.passes(Duration::from_mins(4));
    assert_eq!(told.sent.len(), 1);
    told.passes_until_sent();
    let after = told.now.duration_since(start).as_secs();
    assert!((240..=270).contains(&after), "{after}");
    let refresh = told.sent.last().unwrap();
    // The latest NOTIFY moved the target; the routes are those of the 200, the nearest proxy first.
    assert!(refresh.starts_with("SUBSCRIBE sip:pbx:5062 SIP/2.0\r\n"), "{refresh}");
    let routes: Vec<_> = refresh.lines().filter(|line| line.starts_with("Route: ")).collect();
    assert_eq!(routes, ["Route: <sip:p2;lr>", "Route: <sip:p1;lr>"]);
}

#[test]
fn a_notify_that_overtakes_the_answer_makes_the_dialog() {
    let mut told = Told::new();
    assert_eq!(told.notified(7, "early", "active;expires=300"), Verdict::Take);
    let text = format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: <sip:201@pbx.example>;tag=early\r\nCall-ID: {}\r\nCSeq: 1 SUBSCRIBE\r\nExpires: 300\r\nContact: <sip:pbx:1>\r\n\r\n",
        told.last("Via"),
        told.last("From"),
        told.last("Call-ID")
    );
    let out = told.one.response(&Message::read(text.as_bytes()).unwrap(), told.now);
    told.take(out);
    told.passes_until_sent();
    let refresh = told.sent.last().unwrap();
    let routes: Vec<_> = refresh.lines().filter(|line| line.starts_with("Route: ")).collect();
    assert_eq!(routes, ["Route: <sip:p1;lr>", "Route: <sip:p2;lr>"]);
    assert!(told.last("To").ends_with(";tag=early"));
}

#[test]
fn only_the_other_side_of_the_dialog_is_listened_to() {
    let mut told = Told::up();
    assert_eq!(told.notified(2, "other", "active"), Verdict::Refuse(481));
    assert_eq!(told.notified(2, "other", "terminated;reason=noresource"), Verdict::Refuse(481));
    assert_eq!(told.notified(1, "pbx", "active"), Verdict::Refuse(500));
    assert_eq!(told.notified(2, "pbx", "active"), Verdict::Take);
    assert!(!told.is_over());
}

#[test]
fn a_server_that_forgot_gets_a_new_subscription_at_once() {
    let mut told = Told::up();
    let old = told.one.call_id().to_owned();
    told.passes_until_sent();
    told.answered(481, "");
    assert!(told.is_over());
    told.passes(Duration::from_millis(1));
    assert_ne!(told.one.call_id(), old.as_str());
    assert_eq!((told.last("CSeq").as_str(), told.last("To").as_str()), ("1 SUBSCRIBE", "<sip:201@pbx.example>"));
}

#[test]
fn a_server_that_is_silent_is_asked_again_and_then_anew() {
    let mut told = Told::up();
    told.passes_until_sent();
    let before = told.sent.len();
    told.passes(Duration::from_secs(32));
    assert!(told.sent.len() >= before + 9, "{}", told.sent.len() - before);
    assert!(told.is_over());
}

#[test]
fn a_refresh_that_is_turned_away_for_now_ends_nothing() {
    let mut told = Told::up();
    told.passes_until_sent();
    told.answered(503, "Retry-After: 8 (busy)\r\n");
    let before = told.sent.len();
    told.passes(Duration::from_secs(7));
    assert_eq!(told.sent.len(), before);
    told.passes_until_sent();
    assert!(!told.is_over());
}

#[test]
fn each_reason_for_the_end_has_its_wait() {
    for (state, least, most) in [
        ("terminated;reason=deactivated", 0, 1),
        ("terminated;reason=timeout", 0, 1),
        ("terminated;reason=probation;retry-after=40", 40, 45),
        ("terminated;reason=giveup;retry-after=50", 50, 56),
        ("terminated;reason=giveup", 30, 34),
        ("terminated;reason=rejected", 600, 661),
        ("terminated;reason=noresource", 600, 661),
        ("terminated", 30, 34),
    ] {
        let mut told = Told::up();
        told.notified(2, "pbx", state);
        assert!(told.is_over(), "{state}");
        let wait = told.one.deadline().unwrap().duration_since(told.now).as_secs();
        assert!((least..=most).contains(&wait), "{state}: {wait}");
    }
}

#[test]
fn a_refusal_with_a_retry_after_waits_that_long() {
    let mut told = Told::new();
    told.answered(503, "Retry-After: 120\r\n");
    let wait = told.one.deadline().unwrap().duration_since(told.now).as_secs();
    assert!((120..=132).contains(&wait), "{wait}");
}

#[test]
fn an_accepted_subscription_that_nothing_comes_from_is_made_anew() {
    let mut told = Told::new();
    told.answered(200, "Expires: 300\r\nContact: <sip:pbx:5061>\r\n");
    told.passes(Duration::from_secs(31));
    assert_eq!(told.sent.len(), 1);
    told.passes_until_sent();
    assert_eq!((told.sent.len(), told.last("CSeq").as_str()), (2, "1 SUBSCRIBE"));
}

#[test]
fn whoever_leaves_says_so() {
    let mut told = Told::up();
    let out = told.one.leave(told.now);
    told.take(out);
    assert_eq!(told.last("Expires"), "0");
    told.answered(200, "Expires: 0\r\n");
    assert!(told.one.is_over());
}

#[test]
fn no_lifetime_is_too_long_to_be_counted() {
    let longest = u64::MAX;
    let mut told = Told::new();
    told.answered(423, &format!("Min-Expires: {longest}\r\n"));
    assert_eq!(told.last("Expires"), "86400");
    told.answered(200, &format!("Expires: {longest}\r\nContact: <sip:pbx:5061>\r\n"));
    assert_eq!(told.notified(1, "pbx", &format!("active;expires={longest}")), Verdict::Take);
    let wait = told.one.deadline().unwrap().duration_since(told.now);
    assert!(wait <= MAX_EXPIRES, "{wait:?}");
}
