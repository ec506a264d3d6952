//! From the tracker's steps to the agents' screens: each call is looked up once, and its pops wait for the answer, but not long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::handles::Parts;
use super::policy::Policy;
use crate::calls::record::{CallKey, Extension, OpenCall};
use crate::calls::step::{PopState, WithdrawReason};
use crate::directory::Directory;
use crate::directory::answer::Answer;
use crate::journal::{Journal, Owners};
use crate::lifecycle::Tasks;
use crate::metrics::Metrics;
use crate::phone::PhoneNumber;
use crate::pops::{Hub, Linker, Pop, Seen, When};

/// How long a look-up that missed the pop's deadline may go on, to correct the pop.
const LATE_ANSWER: Duration = Duration::from_secs(30);
/// Answers on their way to the pump. Each look-up gives at most two and waits when this is full.
pub const ANSWERS: usize = 256;

/// What a look-up brought.
#[derive(Debug)]
pub struct Answered {
    call: CallKey,
    answer: Answer,
}

/// Something for one agent's screen.
#[derive(Debug)]
pub enum Act {
    Pop(OpenCall, Extension, PopState),
    Update(OpenCall, Extension, PopState),
    Withdraw(Extension, WithdrawReason),
}

/// One call's way to the screens.
#[derive(Debug)]
struct Showing {
    number: PhoneNumber,
    answer: Option<Answer>,
    /// Acts that wait for the first answer.
    waiting: Vec<(Instant, Act)>,
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
        let showing = Showing { number: number.clone(), answer, waiting, shown, over: false };
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
            self.perform(call, act, since, policy);
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
        let Some(showing) = self.showing.get_mut(call) else { return };
        if showing.answer.is_none() {
            showing.waiting.push((Instant::now(), act));
        } else {
            self.perform(call, act, Instant::now(), policy);
        }
    }

    /// A look-up has answered.
    pub fn answered(&mut self, answered: Answered, policy: &Policy) {
        let Some(showing) = self.showing.get_mut(&answered.call) else { return };
        if showing.number != answered.answer.number {
            return;
        }
        showing.answer = Some(answered.answer);
        if showing.waiting.is_empty() {
            self.correct(&answered.call, policy);
        }
        self.perform_waiting(&answered.call, policy);
        self.tidy(&answered.call);
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
                let _ = answers.send(Answered { call: call.clone(), answer }).await;
            }
            if late && let Ok(answer) = directory.find_surely(&number, LATE_ANSWER).await {
                let _ = answers.send(Answered { call, answer }).await;
            }
        };
        // Nobody waits for an answer once the pump is to stop, and Salesforce may take its time.
        let stop = self.tasks.stopping();
        self.tasks.spawn_short("look-up", async move {
            stop.run_until_cancelled(look_up).await;
        });
    }

    fn perform(&mut self, call: &CallKey, act: Act, since: Instant, policy: &Policy) {
        let owners = self.journal.owners();
        let Some(showing) = self.showing.get_mut(call) else { return };
        match act {
            Act::Withdraw(extension, reason) => {
                showing.shown.remove(&extension);
                self.hub.withdraw(call, &extension, reason);
                self.metrics.pop_withdrawn();
            }
            Act::Pop(open, extension, state) => {
                let pop = draw(&open, &extension, state, showing, &self.linker, &owners, policy);
                showing.shown.insert(extension, (open, state));
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
                let pop = draw(&open, &extension, state, showing, &self.linker, &owners, policy);
                let before = showing.shown.insert(extension, (open, state)).map(|(_, state)| state);
                let first_shown = before == Some(PopState::Ringing) && state == PopState::Answered;
                match policy.pops.when {
                    When::Answer if state == PopState::Ringing => {}
                    When::Answer if first_shown => self.hub.pop(pop),
                    When::Answer | When::Ring | When::Manual => self.hub.update(pop),
                }
            }
        }
    }

    /// The answer came after the pop: what is on the screens is drawn anew.
    fn correct(&mut self, call: &CallKey, policy: &Policy) {
        let owners = self.journal.owners();
        let Some(showing) = self.showing.get(call) else { return };
        for (extension, (open, state)) in &showing.shown {
            self.hub.amend(draw(open, extension, *state, showing, &self.linker, &owners, policy));
        }
    }
}

fn draw(
    open: &OpenCall,
    extension: &Extension,
    state: PopState,
    showing: &Showing,
    linker: &Linker,
    owners: &Owners,
    policy: &Policy,
) -> Pop {
    let known = showing.answer.clone().filter(|answer| answer.number == open.party.number);
    let answer = known.unwrap_or_else(|| Answer::unknown(open.party.number.clone()));
    let answer = match owners.user(extension) {
        Some(user) => answer.for_user(user),
        None => answer,
    };
    let seen = Seen { call: open, extension, state, answer: &answer, at: Timestamp::now() };
    Pop::new(seen, linker, policy.pops.unknown)
}
