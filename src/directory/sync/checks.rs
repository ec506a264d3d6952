//! Counts and comparisons: whether the index has drifted from the org.

use jiff::{Timestamp, Zoned};

use super::pass::{Pass, Why};
use super::state::Stage;
use super::{Sync, night};
use crate::salesforce::{Error, MAX_QUERIES, Soql};

impl Sync {
    /// Counts and comparisons of the night.
    pub(super) async fn check(&mut self) -> Result<(), Error> {
        let now = Zoned::now();
        let org = self.state.org.as_ref().map(ToString::to_string).unwrap_or_default();
        let (mut to_count, mut to_compare) = (Vec::new(), Vec::new());
        for (object, state) in &self.state.objects {
            let Some(source) = self.sources.get(object).filter(|source| !source.is_names_only()) else { continue };
            let seed = night::seed(&org, object);
            let is_due = |last: Option<Timestamp>, due: fn(Timestamp, &Zoned, u64) -> bool| {
                last.is_none_or(|at| due(at, &now, seed))
            };
            if is_due(state.compared_at, night::comparison_is_due) {
                to_compare.push(object.clone());
            } else if is_due(state.counted_at, night::count_is_due) {
                to_count.push((object.clone(), source.count()?));
            }
        }
        for object in to_compare {
            self.compare(&object).await;
        }
        for some in to_count.chunks(MAX_QUERIES) {
            self.count(some).await?;
        }
        Ok(())
    }

    async fn count(&mut self, asked: &[(String, Soql)]) -> Result<(), Error> {
        let queries: Vec<Soql> = asked.iter().map(|(_, query)| query.clone()).collect();
        let answers = self.client.query_together(&queries).await?;
        for ((object, _), count) in asked.iter().zip(answers.pages) {
            let held = self.ids(object).await.len();
            let Some(state) = self.state.objects.get_mut(object) else { continue };
            state.counted_at = Some(Timestamp::now());
            self.changed = true;
            match count {
                Ok(count) if difference(count.total, held) != state.surplus => {
                    tracing::info!(object, org = count.total, index = held, "the counts differ; all rows are compared");
                    self.compare(object).await;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(object, %error, "cannot be counted"),
            }
        }
        Ok(())
    }

    pub(super) async fn compare_all(&mut self) {
        let state = &self.state.objects;
        let objects =
            state.keys().filter(|object| state.get(*object).is_some_and(|state| state.stage == Stage::Following));
        let waiting = |object: &String| self.passes.iter().any(|pass| pass.object == *object);
        let objects: Vec<String> = objects.filter(|object| !waiting(object)).cloned().collect();
        for object in objects {
            self.compare(&object).await;
        }
    }

    async fn compare(&mut self, object: &str) {
        let known = self.ids(object).await;
        self.passes.push_back(Pass::new(object, Why::Comparison, None, &known));
    }
}

/// How many more the org has.
pub(super) fn difference(org: u64, index: usize) -> i64 {
    i64::try_from(org).unwrap_or(i64::MAX) - i64::try_from(index).unwrap_or(i64::MAX)
}
