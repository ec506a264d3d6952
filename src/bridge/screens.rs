//! From the tracker's steps to the agents' screens: each call is looked up once, and its pops wait for the answer, but not long.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::handles::Parts;
use super::policy::Policy;
use crate::calls::record::{CallKey, Extension, OpenCall};
use crate::calls::step::{PopState, WithdrawReason};
use crate::directory::Directory;
use crate::directory::answer::Answer;
use crate::journal::Journal;
use crate::lifecycle::Tasks;
use crate::metrics::Metrics;
use crate::phone::PhoneNumber;
use crate::pops::{Hub, Linker, Pop, Seen, When};

/// How long a look-up that missed the pop's deadline may go on, to correct the pop.
const LATE_ANSWER: Duration = Duration::from_secs(30);
/// Answers on their way to the pump. Each question gives at most two and waits when this is full.
pub const ANSWERS: usize = 256;

/// What a question about a call brought.
#[derive(Debug)]
pub struct Answered {
    call: CallKey,
    news: News,
}

#[derive(Debug)]
enum News {
    Caller(Answer),
    /// What the agent may read of who the number was.
    Rights(PhoneNumber, Extension, Heard),
}

/// How far the question is what an agent may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// What is to be done on the agent's screen waits for it.
    Awaited,
    /// It took too long, or nothing waits: the answer corrects what is shown.
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// Nothing yet, and the deadline has passed.
    Late,
    Learnt,
    Failed,
}

/// Something for one agent's screen.
#[derive(Debug)]
pub enum Act {
    Pop(OpenCall, Extension, PopState),
    Update(OpenCall, Extension, PopState),
    Withdraw(Extension, WithdrawReason),
}

impl Act {
    fn extension(&self) -> &Extension {
        match self {
            Self::Pop(_, extension, _) | Self::Update(_, extension, _) | Self::Withdraw(extension, _) => extension,
        }
    }
}

/// One call's way to the screens.
#[derive(Debug)]
struct Showing {
    number: PhoneNumber,
    answer: Option<Answer>,
    /// Acts that wait for the first answer, or for what their agent may read of it.
    waiting: Vec<(Instant, Act)>,
    /// Whose rights are being asked.
    asked: BTreeMap<Extension, Asked>,
    /// What each screen shows now.
    shown: BTreeMap<Extension, (OpenCall, PopState)>,
    over: bool,
}

pub struct Screens {
    showing: BTreeMap<CallKey, Showing>,
    hub: Hub,
    linker: Linker,
    directory: Directory,
    journal: Journal,
    metrics: Metrics,
    tasks: Tasks,
    answers: mpsc::Sender<Answered>,
}

impl Screens {
    pub fn new(parts: &Parts, tasks: Tasks, answers: mpsc::Sender<Answered>) -> Self {
        Self {
            showing: BTreeMap::new(),
            hub: parts.hub.clone(),
            linker: parts.linker(),
            directory: parts.directory.clone(),
            journal: parts.journal.clone(),
            metrics: parts.metrics.clone(),
            tasks,
            answers,
        }
    }

    /// A call is new or has changed: asks who it is as soon as the number is known. What waits is told of the party as it is now.
    pub fn call(&mut self, call: &OpenCall, policy: &Policy) {
        let number = &call.party.number;
        if self.showing.get(&call.key).is_some_and(|showing| showing.number == *number) {
            return;
        }
        let answer = self.find_now(number);
        let (asks, knows) = (answer.as_ref().is_none_or(|answer| !answer.complete), answer.is_some());
        let old = self.showing.remove(&call.key);
        let (mut waiting, shown) = old.map(|old| (old.waiting, old.shown)).unwrap_or_default();
        for (_, act) in &mut waiting {
            if let Act::Pop(open, ..) | Act::Update(open, ..) = act {
                open.party = call.party.clone();
            }
        }
        let showing = Showing { number: number.clone(), answer, waiting, asked: BTreeMap::new(), shown, over: false };
        self.showing.insert(call.key.clone(), showing);
        if asks {
            self.ask(call.key.clone(), number.clone(), knows);
        }
        self.perform_waiting(&call.key, policy);
    }

    /// What the index knows, which takes no longer than to ask somebody else for it.
    fn find_now(&self, number: &PhoneNumber) -> Option<Answer> {
        let began = Instant::now();
        let answer = self.directory.find_now(number)?;
        if number.e164().is_some() {
            self.metrics.lookup(answer.source.as_str(), began.elapsed());
        }
        Some(answer)
    }

    fn perform_waiting(&mut self, call: &CallKey, policy: &Policy) {
        let Some(showing) = self.showing.get_mut(call).filter(|showing| showing.answer.is_some()) else { return };
        for (since, act) in std::mem::take(&mut showing.waiting) {
            self.perform_or_wait(call, act, since, policy);
        }
    }

    fn perform_or_wait(&mut self, call: &CallKey, act: Act, since: Instant, policy: &Policy) {
        if !self.must_wait(call, &act, since) {
            self.perform(call, act, since, policy);
        } else if let Some(showing) = self.showing.get_mut(call) {
            showing.waiting.push((since, act));
        }
    }

    /// Asks what the agent may read, if that is wanted and not known.
    fn must_wait(&mut self, call: &CallKey, act: &Act, since: Instant) -> bool {
        let Some(showing) = self.showing.get(call) else { return false };
        if showing.answer.is_none() || !self.directory.respects_sharing() {
            return showing.answer.is_none();
        }
        match (showing.asked.get(act.extension()), act) {
            (Some(asked), _) => *asked == Asked::Awaited,
            (None, Act::Withdraw(..)) => false,
            (None, Act::Pop(..) | Act::Update(..)) => {
                let limit = self.directory.deadline().saturating_sub(since.elapsed());
                self.ask_rights(call, act.extension(), Asked::Awaited, limit)
            }
        }
    }

    /// Does something on a screen, now or when the look-up has answered.
    pub fn act(&mut self, call: &CallKey, act: Act, policy: &Policy) {
        if let Act::Pop(open, ..) | Act::Update(open, ..) = &act {
            if !policy.shows(open) {
                return;
            }
            self.call(open, policy);
        }
        if self.showing.contains_key(call) {
            self.perform_or_wait(call, act, Instant::now(), policy);
        }
    }

    /// A question has been answered.
    pub fn answered(&mut self, answered: Answered, policy: &Policy) {
        match answered.news {
            News::Caller(answer) => self.found(&answered.call, answer, policy),
            News::Rights(number, extension, heard) => self.heard(&answered.call, &number, &extension, heard, policy),
        }
        self.tidy(&answered.call);
    }

    fn found(&mut self, call: &CallKey, answer: Answer, policy: &Policy) {
        let Some(showing) = self.showing.get_mut(call).filter(|showing| showing.number == answer.number) else {
            return;
        };
        showing.answer = Some(answer);
        if showing.waiting.is_empty() || self.directory.respects_sharing() {
            self.correct(call, policy);
        }
        self.perform_waiting(call, policy);
    }

    /// What an agent may read is known, or is not waited for any longer.
    fn heard(&mut self, call: &CallKey, number: &PhoneNumber, extension: &Extension, heard: Heard, policy: &Policy) {
        let Some(showing) = self.showing.get_mut(call) else { return };
        if showing.number != *number || showing.answer.is_none() {
            return;
        }
        match heard {
            Heard::Late => showing.asked.insert(extension.clone(), Asked::Late),
            Heard::Learnt | Heard::Failed => showing.asked.remove(extension),
        };
        let waiting = std::mem::take(&mut showing.waiting);
        let (free, waiting): (Vec<_>, _) = waiting.into_iter().partition(|(_, act)| act.extension() == extension);
        showing.waiting = waiting;
        if heard == Heard::Learnt {
            // Meanwhile a look-up may have found others.
            self.ask_rights(call, extension, Asked::Late, Duration::ZERO);
            if free.is_empty() {
                self.redraw(call, extension, policy);
            }
        }
        for (since, act) in free {
            self.perform(call, act, since, policy);
        }
    }

    /// The call is over. Gives what is known of the caller, unless a later look-up may know more.
    pub fn ended(&mut self, call: &OpenCall) -> Option<Answer> {
        let showing = self.showing.get_mut(&call.key)?;
        showing.over = true;
        let answer = showing.answer.clone().filter(|answer| answer.complete && answer.number == call.party.number);
        self.tidy(&call.key);
        answer
    }

    pub fn forget(&mut self, call: &CallKey) {
        if let Some(showing) = self.showing.get_mut(call) {
            showing.over = true;
        }
        self.tidy(call);
    }

    fn tidy(&mut self, call: &CallKey) {
        if self.showing.get(call).is_some_and(|showing| showing.over && showing.waiting.is_empty()) {
            self.showing.remove(call);
        }
    }

    /// `corrects`: there is an answer already, which a search may correct.
    fn ask(&self, call: CallKey, number: PhoneNumber, corrects: bool) {
        let (directory, answers, metrics) = (self.directory.clone(), self.answers.clone(), self.metrics.clone());
        let look_up = async move {
            let mut late = corrects;
            if !corrects {
                let began = Instant::now();
                let answer = directory.find(&number).await;
                metrics.lookup(answer.source.as_str(), began.elapsed());
                late = !answer.complete;
                let _ = answers.send(Answered { call: call.clone(), news: News::Caller(answer) }).await;
            }
            if late && let Ok(answer) = directory.find_surely(&number, LATE_ANSWER).await {
                let _ = answers.send(Answered { call, news: News::Caller(answer) }).await;
            }
        };
        // Nobody waits for an answer once the pump is to stop, and Salesforce may take its time.
        let stop = self.tasks.stopping();
        self.tasks.spawn_short("look-up", async move {
            stop.run_until_cancelled(look_up).await;
        });
    }

    /// Asks what an agent may read of who is known to call. Whether there is anything to be heard.
    fn ask_rights(&mut self, call: &CallKey, extension: &Extension, asked: Asked, limit: Duration) -> bool {
        let Some(showing) = self.showing.get_mut(call) else { return false };
        if !self.directory.respects_sharing() || showing.asked.contains_key(extension) {
            return self.directory.respects_sharing();
        }
        let (owners, answer) = (self.journal.owners(), showing.answer.clone());
        let (Some(user), Some(answer)) = (owners.user(extension).cloned(), answer) else { return false };
        if self.directory.knows_rights(&answer, Some(&user)) {
            return false;
        }
        showing.asked.insert(extension.clone(), asked);
        let (directory, answers, call, extension) =
            (self.directory.clone(), self.answers.clone(), call.clone(), extension.clone());
        let question = async move {
            let tell = |heard| {
                let news = News::Rights(answer.number.clone(), extension.clone(), heard);
                answers.send(Answered { call: call.clone(), news })
            };
            let mut learning = pin!(directory.learn_rights(&answer, &user));
            let mut learnt = timeout(limit, learning.as_mut()).await;
            if learnt.is_err() {
                let _ = tell(Heard::Late).await;
                learnt = timeout(LATE_ANSWER, learning).await;
            }
            let heard = if matches!(learnt, Ok(Ok(()))) { Heard::Learnt } else { Heard::Failed };
            let _ = tell(heard).await;
        };
        let stop = self.tasks.stopping();
        self.tasks.spawn_short("rights", async move {
            stop.run_until_cancelled(question).await;
        });
        true
    }

    fn perform(&mut self, call: &CallKey, act: Act, since: Instant, policy: &Policy) {
        match act {
            Act::Withdraw(extension, reason) => {
                let Some(showing) = self.showing.get_mut(call) else { return };
                showing.shown.remove(&extension);
                if self.hub.withdraw(call, &extension, reason) {
                    self.metrics.pop_withdrawn();
                }
            }
            Act::Pop(open, extension, state) => {
                let Some(pop) = self.draw(call, &open, &extension, state, policy) else { return };
                self.note_shown(call, open, extension, state);
                match (policy.pops.when, state) {
                    (When::Ring, _) | (When::Answer, PopState::Answered) => {
                        self.hub.pop(pop);
                        self.metrics.pop_sent(since.elapsed());
                    }
                    (When::Answer, PopState::Ringing | PopState::Ended) => {}
                    (When::Manual, _) => self.hub.update(pop),
                }
            }
            Act::Update(open, extension, state) => {
                let Some(pop) = self.draw(call, &open, &extension, state, policy) else { return };
                let before = self.note_shown(call, open, extension, state);
                let first_shown = before == Some(PopState::Ringing) && state == PopState::Answered;
                match policy.pops.when {
                    When::Answer if state == PopState::Ringing => {}
                    When::Answer if first_shown => self.hub.pop(pop),
                    // A call that nobody answered has no card to be ended.
                    When::Answer if state == PopState::Ended => self.hub.amend(pop),
                    When::Answer | When::Ring | When::Manual => self.hub.update(pop),
                }
            }
        }
    }

    /// Gives what the screen showed before.
    fn note_shown(
        &mut self,
        call: &CallKey,
        open: OpenCall,
        extension: Extension,
        state: PopState,
    ) -> Option<PopState> {
        let showing = self.showing.get_mut(call)?;
        showing.shown.insert(extension, (open, state)).map(|(_, state)| state)
    }

    /// The answer came after the pop: what is on the screens is drawn anew, or will be when it is known what their agents may read.
    fn correct(&mut self, call: &CallKey, policy: &Policy) {
        let Some(showing) = self.showing.get(call) else { return };
        let extensions: Vec<Extension> = showing.shown.keys().cloned().collect();
        for extension in extensions {
            if !self.ask_rights(call, &extension, Asked::Late, Duration::ZERO) {
                self.redraw(call, &extension, policy);
            }
        }
    }

    fn redraw(&self, call: &CallKey, extension: &Extension, policy: &Policy) {
        let shown = self.showing.get(call).and_then(|showing| showing.shown.get(extension));
        if let Some(pop) = shown.and_then(|(open, state)| self.draw(call, open, extension, *state, policy)) {
            self.hub.amend(pop);
        }
    }

    fn draw(
        &self,
        call: &CallKey,
        open: &OpenCall,
        extension: &Extension,
        state: PopState,
        policy: &Policy,
    ) -> Option<Pop> {
        let showing = self.showing.get(call)?;
        let known = showing.answer.clone().filter(|answer| answer.number == open.party.number);
        let answer = known.unwrap_or_else(|| Answer::unknown(open.party.number.clone()));
        let owners = self.journal.owners();
        let user = owners.user(extension);
        let answer = self.directory.readable_now(answer, user);
        let answer = match user {
            Some(user) => answer.for_user(user),
            None => answer,
        };
        let seen = Seen { call: open, extension, state, answer: &answer, at: Timestamp::now() };
        Some(Pop::new(seen, &self.linker, policy.pops.unknown))
    }
}
