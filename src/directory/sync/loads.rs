//! Readings of a whole object: which are due, and their steps.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Sync;
use super::checks::difference;
use super::fields::{self, Learned};
use super::follow::Follow;
use super::pass::{Pass, Step, Why};
use super::source::Source;
use super::state::{ObjectState, Stage};
use super::status::Phase;
use crate::directory::row::Change;
use crate::salesforce::Error;

/// How often progress is logged.
const PROGRESS: Duration = Duration::from_secs(30);

impl Sync {
    /// Asks for the fields, and sees to what that changes.
    pub(super) async fn learn(&mut self) -> Result<(), Error> {
        let Learned { sources, unreadable } = fields::learn(&self.client, &self.config).await?;
        self.learned = Some(Instant::now());
        for (object, why) in &unreadable {
            if !self.board.get().unreadable.contains(&(object.clone(), why.clone())) {
                tracing::warn!(object, why, "an object cannot be read; the others are");
            }
        }
        self.board.change(|status| status.unreadable = unreadable);
        self.sources = sources.into_iter().map(|source| (source.object().to_owned(), source)).collect();
        self.forget_unreadable().await;
        for source in self.sources.clone().into_values() {
            self.plan(&source).await;
        }
        self.show_progress();
        Ok(())
    }

    /// What is to be done with an object before its changes can be followed.
    async fn plan(&mut self, source: &Source) {
        let object = source.object();
        let state = self.state.objects.entry(object.to_owned());
        let state = state.or_insert_with(|| ObjectState::new(source.fingerprint()));
        let is_same = state.fingerprint == source.fingerprint();
        let is_planned = self.passes.iter().any(|pass| pass.object == *object);
        if is_same && (is_planned || state.stage == Stage::Following) {
            return;
        }
        let pass = match &state.stage {
            Stage::Following => {
                tracing::info!(object, "other fields are read now; it is read anew");
                let known = self.ids(object).await;
                Pass::new(object, Why::Fields, None, &known)
            }
            Stage::Loading(load) if is_same => Pass::new(object, Why::First, Some(load.clone()), &[]),
            Stage::Waiting | Stage::Loading(_) => {
                state.fingerprint = source.fingerprint();
                state.stage = Stage::Waiting;
                Pass::new(object, Why::First, None, &[])
            }
        };
        self.passes.retain(|pass| pass.object != *object);
        self.passes.push_back(pass);
    }

    /// What the bridge's user may not see any more is shown to nobody.
    async fn forget_unreadable(&mut self) {
        let gone: Vec<String> =
            self.state.objects.keys().filter(|object| !self.sources.contains_key(*object)).cloned().collect();
        for object in gone {
            let rows = self.ids(&object).await.into_iter().map(Change::Gone).collect();
            self.take_in(rows).await;
            self.state.objects.remove(&object);
            self.passes.retain(|pass| pass.object != object);
            self.recent.remove(&object);
        }
    }

    /// A step of a reading, which comes to the front again until it is done.
    pub(super) async fn advance(&mut self, mut pass: Pass) -> Result<Duration, Error> {
        let Some(source) = self.sources.get(&pass.object).cloned() else { return Ok(Duration::ZERO) };
        let step = match pass.step(&self.client, &source, self.config.bulk_above).await {
            Ok(step) => step,
            Err(error) => return self.pass_failed(pass, error),
        };
        let (changes, wait) = match step {
            Step::More(changes) => (changes, Some(Duration::ZERO)),
            Step::Wait(wait) => (Vec::new(), Some(wait)),
            Step::Done(changes) => (changes, None),
        };
        self.take_in(changes).await;
        let Some(wait) = wait else {
            self.finish(pass, &source).await;
            return Ok(Duration::ZERO);
        };
        self.keep_load(&pass);
        if pass.is_fresh() {
            // All are counted before one is read, so that it is known how much there is.
            self.passes.push_back(pass);
        } else {
            self.passes.push_front(pass);
        }
        self.show_progress();
        self.save_if(false).await;
        Ok(wait)
    }

    fn pass_failed(&mut self, pass: Pass, error: Error) -> Result<Duration, Error> {
        if fields::is_about_the_object(&error) {
            tracing::warn!(object = pass.object, %error, "cannot be read; the others are");
            self.board.change(|status| status.unreadable.push((pass.object.clone(), error.to_string())));
            self.sources.remove(&pass.object);
            return Ok(Duration::ZERO);
        }
        self.passes.push_front(pass);
        Err(error)
    }

    fn keep_load(&mut self, pass: &Pass) {
        if pass.why == Why::First
            && let (Some(state), Some(load)) = (self.state.objects.get_mut(&pass.object), &pass.load)
        {
            state.stage = Stage::Loading(load.clone());
            self.changed = true;
        }
    }

    async fn finish(&mut self, pass: Pass, source: &Source) {
        let missing = pass.missing();
        tracing::debug!(object = pass.object, rows = pass.loaded(), missing = missing.len(), why = ?pass.why, "was read as a whole");
        if pass.why == Why::Comparison && !missing.is_empty() {
            tracing::info!(
                object = pass.object,
                rows = missing.len(),
                "the comparison took rows out that the org has no more"
            );
        }
        self.take_in(missing).await;
        let held = self.ids(&pass.object).await.len();
        let (Some(state), Some(load)) = (self.state.objects.get_mut(&pass.object), pass.load) else { return };
        let now = Timestamp::now();
        if pass.why == Why::First {
            self.loaded_before += load.loaded;
            state.follow = Follow::from(load.since);
        } else {
            // What was read may be older than what its changes told meanwhile.
            state.follow.rewind(load.since);
        }
        state.stage = Stage::Following;
        state.fingerprint = source.fingerprint();
        (state.counted_at, state.compared_at) = (Some(now), Some(now));
        state.surplus = difference(load.loaded, held);
        self.recent.entry(pass.object).or_default().forget();
        (self.changed, self.polled) = (true, None);
        self.show_progress();
        self.save_if(false).await;
    }

    fn show_progress(&mut self) {
        let loads = self.passes.iter().filter(|pass| pass.why == Why::First);
        let Some((loaded, of)) = loads
            .map(|pass| {
                let expected = pass.load.as_ref().and_then(|load| load.of).unwrap_or_default();
                (pass.loaded(), expected.max(pass.loaded()))
            })
            .reduce(|sum, next| (sum.0 + next.0, sum.1 + next.1))
        else {
            return;
        };
        let (loaded, of) = (self.loaded_before + loaded, self.loaded_before + of);
        self.board.change(|status| (status.phase, status.loaded, status.of) = (Phase::Loading, loaded, of));
        if of > 0 && self.told_progress.is_none_or(|at| at.elapsed() >= PROGRESS) {
            self.told_progress = Some(Instant::now());
            tracing::info!(loaded, of, "loading the directory");
        }
    }
}
