//! Two feeds that watch one phone system: what both see of a call is one call. Pure.
//!
//! One of the two leads (`same_pbx_as` of the other names it). A call gets its key from the feed that showed it first; the other's id of
//! it is an alias of that key from then on, kept on disk with the call, and what that feed says is not told. Only while the feed that
//! shows a call is not up is the other listened to: it goes on with agents' screens, and ends the call.
//!
//! Two calls are one when
//!
//! 1. they share the id of a leg that leads outside (a Call-ID, a channel's id); or
//! 2. direction and outside number are the same, an agent is in both, and both are open, or rang that agent within [`APART`] of each
//!    other. A number that one of them withholds is the same as any, if both rang the agent within [`APART_WITHHELD`]; or
//! 3. no agent is known yet on either side, and direction, number and the moment of the beginning, within [`APART_WITHHELD`], are the same; or
//! 4. an agent was rung in both, or dialled in both, within [`TOGETHER`]: the other feed took the number or the direction for another.
//!
//! Of several, the nearest by these rules, then one that has no other name yet, then the one that began nearest. The other feed may take
//! one call of the leader for two: then both are other names for it.
//!
//! A call that only the other feed sees waits [`PATIENCE`] for the leader before it is shown as one of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::record::{AgentPart, CallKey, CallRecord, Extension, Happening, OpenCall};
use super::step::{Step, WithdrawReason};
use crate::phone::PhoneNumber;

/// How long the leader may be behind.
const PATIENCE: Duration = Duration::from_millis(1500);
/// So long after its end a call of the leader is still looked for.
const AFTER: Duration = Duration::from_secs(5);
/// No feed comes back later with a call that was open when it was lost.
const LONG_AFTER: Duration = Duration::from_hours(12);
const APART: SignedDuration = SignedDuration::from_secs(5);
const APART_WITHHELD: SignedDuration = SignedDuration::from_secs(2);
/// One phone that rings is told by both feeds within this time.
const TOGETHER: SignedDuration = SignedDuration::from_millis(500);

/// Which feeds are of one phone system, and what each sees.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// Follower, leader.
    leaders: BTreeMap<String, String>,
    seen: BTreeMap<CallKey, Seen>,
    /// Whether a feed is up; one that is not here has not been up yet.
    up: BTreeMap<String, bool>,
}

/// A call of one of the feeds.
#[derive(Debug)]
struct Seen {
    call: OpenCall,
    fate: Fate,
    /// Since when it is told; `None` for one that is not, and for one that an earlier run told.
    told: Option<Instant>,
    /// When it ended.
    ended: Option<Instant>,
}

#[derive(Debug)]
enum Fate {
    /// It is told under its own key.
    Shown,
    /// The same as this one, which is shown.
    Alias(CallKey),
    /// The leader may yet show it.
    Held { until: Instant, steps: Vec<Step> },
    /// Its end was told by the other feed.
    Done,
}

impl Seen {
    fn is_shown(&self) -> bool {
        matches!(self.fate, Fate::Shown)
    }

    /// No other name of it is known, nor is it one.
    fn is_unpaired(&self) -> bool {
        match self.fate {
            Fate::Shown | Fate::Held { .. } => self.call.aliases.is_empty(),
            Fate::Alias(_) | Fate::Done => false,
        }
    }

    /// A call whose end the other feed told is known for as long as its own feed may come back with it.
    fn forgotten_at(&self) -> Option<Instant> {
        let after = if matches!(self.fate, Fate::Done) { LONG_AFTER } else { AFTER };
        self.ended.map(|at| at + after)
    }
}

impl Twins {
    pub fn new(leaders: BTreeMap<String, String>, open: &[OpenCall]) -> Self {
        let mut twins = Self { leaders, seen: BTreeMap::new(), up: BTreeMap::new() };
        for call in open {
            if twins.concerns(&call.feed) {
                let seen = Seen { call: call.clone(), fate: Fate::Shown, told: None, ended: None };
                twins.seen.insert(call.key.clone(), seen);
            }
        }
        twins
    }

    pub fn lost(&mut self, feed: &str) {
        self.up.insert(feed.to_owned(), false);
    }

    pub fn up(&mut self, feed: &str) {
        self.up.insert(feed.to_owned(), true);
    }

    /// Whether a call of this key is told of.
    pub fn shows(&self, key: &CallKey) -> bool {
        self.seen.get(key).is_none_or(Seen::is_shown)
    }

    /// What is to be kept of an open call: with its other names.
    pub fn named(&self, call: OpenCall) -> OpenCall {
        match self.seen.get(&call.key) {
            Some(seen) => OpenCall { aliases: seen.call.aliases.clone(), ..call },
            None => call,
        }
    }

    /// What one feed's steps come to.
    pub fn filter(&mut self, feed: &str, steps: Vec<Step>, now: Instant) -> Vec<Step> {
        if !self.concerns(feed) {
            return steps;
        }
        let mut out = Vec::new();
        for step in steps {
            self.step(feed, step, now, &mut out);
        }
        out
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.seen
            .values()
            .filter_map(|seen| match &seen.fate {
                Fate::Held { until, .. } => Some(*until),
                Fate::Shown | Fate::Alias(_) | Fate::Done => seen.forgotten_at(),
            })
            .min()
    }

    /// Time has passed.
    pub fn clock(&mut self, now: Instant) -> Vec<Step> {
        let mut out = Vec::new();
        for seen in self.seen.values_mut() {
            if let Fate::Held { until, steps } = &mut seen.fate
                && *until <= now
            {
                out.append(steps);
                seen.fate = Fate::Shown;
                seen.told = Some(now);
            }
        }
        self.seen.retain(|_, seen| seen.forgotten_at().is_none_or(|at| at > now));
        out
    }

    fn concerns(&self, feed: &str) -> bool {
        self.leaders.iter().any(|(follower, leader)| follower == feed || leader == feed)
    }

    fn step(&mut self, feed: &str, step: Step, now: Instant, out: &mut Vec<Step>) {
        let key = key_of(&step).clone();
        let mut is_end = false;
        self.learn(feed, &key, &step, now, out);
        let Some(seen) = self.seen.get_mut(&key) else {
            return out.push(step);
        };
        match &mut seen.fate {
            Fate::Shown => out.push(with_names(step, &seen.call.aliases)),
            Fate::Held { steps, .. } => steps.push(step),
            Fate::Done => is_end = matches!(step, Step::Ended(_)),
            Fate::Alias(of) => {
                let of = of.clone();
                self.instead(&of, step, now, out);
            }
        }
        self.match_up(&key, out);
        let is_alias = |seen: &Seen| seen.ended.is_some() && matches!(seen.fate, Fate::Alias(_));
        if is_end || self.seen.get(&key).is_some_and(is_alias) {
            self.seen.remove(&key);
        }
    }

    /// Takes down what a step tells of its call.
    fn learn(&mut self, feed: &str, key: &CallKey, step: &Step, now: Instant, out: &mut Vec<Step>) {
        let (call, ended) = match step {
            Step::Keep(call) | Step::Pop { call, .. } | Step::Update { call, .. } => (call, None),
            Step::Ended(record) => (&record.call, Some(now)),
            Step::Withdraw { .. } => return,
            Step::Forget { into, .. } => return self.merge(key, into.as_ref(), out),
        };
        if let Some(seen) = self.seen.get_mut(key) {
            let aliases = std::mem::take(&mut seen.call.aliases);
            seen.call = OpenCall { aliases, ..call.clone() };
            seen.ended = seen.ended.or(ended);
            return;
        }
        let follows = self.leaders.get(feed).is_some_and(|leader| self.up.get(leader) != Some(&false));
        let known_as = self.seen.values().find(|seen| seen.is_shown() && seen.call.aliases.contains(key));
        let fate = match known_as {
            Some(shown) => Fate::Alias(shown.call.key.clone()),
            None if follows => Fate::Held { until: now + PATIENCE, steps: Vec::new() },
            None => Fate::Shown,
        };
        let told = matches!(fate, Fate::Shown).then_some(now);
        self.seen.insert(key.clone(), Seen { call: call.clone(), fate, told, ended });
    }

    /// A call became part of another of its feed: its other names are that one's.
    fn merge(&mut self, key: &CallKey, into: Option<&CallKey>, out: &mut Vec<Step>) {
        let Some(gone) = self.seen.remove(key) else { return };
        if let Some(into) = into.filter(|_| gone.is_shown() && !gone.call.aliases.is_empty()) {
            self.name(into, gone.call.aliases);
            out.extend(self.kept(into));
        }
    }

    /// These are other names for this call from now on.
    fn name(&mut self, shown: &CallKey, names: Vec<CallKey>) {
        for name in names {
            if let Some(seen) = self.seen.get_mut(&name) {
                seen.fate = Fate::Alias(shown.clone());
            }
            if let Some(seen) = self.seen.get_mut(shown).filter(|seen| !seen.call.aliases.contains(&name)) {
                seen.call.aliases.push(name);
            }
        }
    }

    /// What is to be kept of a call whose names have changed.
    fn kept(&self, key: &CallKey) -> Option<Step> {
        let seen = self.seen.get(key).filter(|seen| seen.is_shown() && seen.ended.is_none())?;
        Some(Step::Keep(seen.call.clone()))
    }

    /// Finds the same call among the other feed's.
    fn match_up(&mut self, key: &CallKey, out: &mut Vec<Step>) {
        let Some(own) = self.seen.get(key).filter(|seen| seen.is_unpaired()) else {
            return;
        };
        // The leader's calls are not split by what the other feed takes them for.
        let may_be = |it: &Seen| it.is_unpaired() || (it.is_shown() && self.leaders.contains_key(&own.call.feed));
        let others =
            self.seen.iter().filter(|(_, it)| may_be(it) && self.are_of_one_pbx(&it.call.feed, &own.call.feed));
        let same = others.filter_map(|(other, it)| {
            let (rule, apart) = nearness(own, it)?;
            Some((rule, !it.is_unpaired(), apart, other.clone()))
        });
        let Some((_, _, _, other)) = same.min() else {
            return;
        };
        // The one that has been told keeps its key, the one told first of two that have; of two that have not, the leader's does.
        let leads = |it: &CallKey| self.seen.get(it).is_some_and(|seen| !self.leaders.contains_key(&seen.call.feed));
        let is_told = |it: &CallKey| self.seen.get(it).is_some_and(Seen::is_shown);
        let other_wins = (is_told(&other), leads(&other)) > (is_told(key), leads(key))
            || (is_told(&other) && is_told(key) && self.is_earlier(&other, key));
        let (shown, hidden) = if other_wins { (other, key.clone()) } else { (key.clone(), other) };
        self.pair(&shown, &hidden, out);
    }

    fn is_earlier(&self, one: &CallKey, other: &CallKey) -> bool {
        let began = |key: &CallKey| self.seen.get(key).map(|seen| (seen.told, seen.call.started));
        began(one) < began(other)
    }

    fn pair(&mut self, shown: &CallKey, hidden: &CallKey, out: &mut Vec<Step>) {
        let mut names = vec![hidden.clone()];
        if let Some(seen) = self.seen.get_mut(hidden) {
            names.append(&mut seen.call.aliases);
            if seen.is_shown() {
                out.extend(seen.call.agents.iter().map(|part| Step::Withdraw {
                    call: hidden.clone(),
                    extension: part.extension.clone(),
                    reason: WithdrawReason::Moved,
                }));
                out.push(Step::Forget { call: hidden.clone(), into: Some(shown.clone()) });
            }
        }
        self.name(shown, names);
        if let Some(seen) = self.seen.get_mut(shown) {
            let was = std::mem::replace(&mut seen.fate, Fate::Shown);
            if let Fate::Held { steps, .. } = was {
                out.extend(steps);
            }
        }
        out.extend(self.kept(shown));
    }

    fn are_of_one_pbx(&self, one: &str, other: &str) -> bool {
        let leads = |follower: &str, leader: &str| self.leaders.get(follower).is_some_and(|it| it == leader);
        leads(one, other) || leads(other, one)
    }

    /// While the feed that shows the call is not up, the other one's words are told under its key.
    fn instead(&mut self, of: &CallKey, step: Step, now: Instant, out: &mut Vec<Step>) {
        let Some(shown) = self.seen.get_mut(of) else { return };
        if shown.ended.is_some() || self.up.get(&shown.call.feed) == Some(&true) {
            return;
        }
        match step {
            Step::Pop { extension, state, .. } => out.push(Step::Pop { call: shown.call.clone(), extension, state }),
            Step::Update { extension, state, .. } => {
                out.push(Step::Update { call: shown.call.clone(), extension, state });
            }
            Step::Withdraw { extension, reason, .. } => {
                out.push(Step::Withdraw { call: of.clone(), extension, reason });
            }
            Step::Ended(record) => {
                let record = in_place_of(&shown.call, record);
                shown.ended = Some(now);
                shown.fate = Fate::Done;
                out.push(Step::Ended(record));
            }
            Step::Keep(_) | Step::Forget { .. } => {}
        }
    }
}

/// What is kept of a call holds its other names.
fn with_names(mut step: Step, aliases: &[CallKey]) -> Step {
    match &mut step {
        Step::Keep(call) => aliases.clone_into(&mut call.aliases),
        Step::Ended(record) => aliases.clone_into(&mut record.call.aliases),
        Step::Pop { .. } | Step::Update { .. } | Step::Withdraw { .. } | Step::Forget { .. } => {}
    }
    step
}

fn key_of(step: &Step) -> &CallKey {
    match step {
        Step::Keep(call) | Step::Pop { call, .. } | Step::Update { call, .. } => &call.key,
        Step::Withdraw { call, .. } | Step::Forget { call, .. } => call,
        Step::Ended(record) => &record.call.key,
    }
}

/// By which rule two views are of one call, and how far apart they began; `None`: they are not of one.
fn nearness(own: &Seen, other: &Seen) -> Option<(u8, SignedDuration)> {
    let (one, two) = (&own.call, &other.call);
    let apart = one.started.duration_since(two.started).abs();
    if one.outside_legs.iter().any(|leg| two.outside_legs.contains(leg)) {
        return Some((1, apart));
    }
    let is_in_two = |agent: &&Extension| two.agents.iter().any(|part| part.extension == **agent);
    let common: Vec<&Extension> = one.agents.iter().map(|part| &part.extension).filter(is_in_two).collect();
    let met = |agent: &&Extension| Some(first(one, agent)?.duration_since(first(two, agent)?).abs());
    let met = common.iter().filter_map(met).min();
    let within = |limit: SignedDuration| met.is_some_and(|met| met <= limit);
    let both_open = own.ended.is_none() && other.ended.is_none();
    let is_withheld = [one, two].iter().any(|call| call.party.number == PhoneNumber::Withheld);
    let same_direction = one.direction == two.direction;
    let same_number = same_direction && one.party.number == two.party.number && !is_withheld;
    if same_number && !common.is_empty() && (both_open || within(APART)) {
        return Some((2, apart));
    }
    if is_withheld && same_direction && within(APART_WITHHELD) {
        return Some((2, apart));
    }
    if same_number && one.agents.is_empty() && two.agents.is_empty() && apart <= APART_WITHHELD {
        return Some((3, apart));
    }
    within(TOGETHER).then_some((4, apart))
}

/// When an agent first had to do with a call.
fn first(call: &OpenCall, agent: &Extension) -> Option<Timestamp> {
    let part = call.agents.iter().find(|part| part.extension == *agent)?;
    if part.dialed {
        return Some(call.started);
    }
    let met = call.journey.iter().find(|step| match &step.what {
        Happening::Rang(who) | Happening::Answered(who) | Happening::Joined(who) => who == agent,
        Happening::Started
        | Happening::Queued(_)
        | Happening::AnsweredBySomeone
        | Happening::OutsideAnswered
        | Happening::Held(_)
        | Happening::Resumed(_)
        | Happening::Transferred { .. }
        | Happening::Parked(_)
        | Happening::Left(_)
        | Happening::Voicemail
        | Happening::Ended(_) => false,
    });
    Some(met.map_or(call.started, |step| step.at))
}

/// The end as one feed saw it, of a call as the other had shown it.
fn in_place_of(shown: &OpenCall, record: CallRecord) -> CallRecord {
    let seen = record.call;
    let mut call = OpenCall { answered: shown.answered.or(seen.answered), ..shown.clone() };
    for part in seen.agents {
        match call.agents.iter_mut().find(|known| known.extension == part.extension) {
            Some(known) => {
                let talk_ms = known.talk_ms.max(part.talk_ms);
                *known =
                    AgentPart { rang: known.rang || part.rang, dialed: known.dialed || part.dialed, talk_ms, ..part };
            }
            None => call.agents.push(part),
        }
    }
    let last = shown.journey.last().map_or(shown.started, |step| step.at);
    call.journey.extend(seen.journey.into_iter().filter(|step| step.at > last));
    CallRecord { call, ..record }
}
