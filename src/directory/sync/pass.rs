//! A reading of one whole object, a page at a time: the first load, and what mends or compares the index later.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use super::follow::open_since;
use super::source::{PAGE, Source};
use super::state::{Load, Way};
use crate::directory::row::Change;
use crate::salesforce::{BulkJob, BulkPage, BulkState, Client, Error, Found, RecordId, Retry, Rows};

/// Rows that are taken in at once.
const CHUNK: usize = 5_000;
/// The first wait and the longest one between two looks at a bulk job.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));

/// Why an object is read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is not in the index yet.
    First,
    /// Other fields are read of it now.
    Fields,
    /// To find what its changes did not tell: rows deleted for good, rights, formulas.
    Comparison,
}

/// A reading under way.
pub(super) struct Pass {
    pub object: String,
    pub why: Why,
    /// None: it has not begun.
    pub load: Option<Load>,
    /// The rows that the index had when it began, in order, and which of them were seen.
    known: Vec<(u128, bool)>,
    job_is_complete: bool,
    /// The page of a bulk job that is being read, and its rows so far.
    page: Option<BulkPage>,
    page_rows: u64,
    look: Duration,
}

/// What became of a step.
pub(super) enum Step {
    /// These are to be taken in; then it goes on.
    More(Vec<Change>),
    /// Salesforce is still at work.
    Wait(Duration),
    /// These were the last.
    Done(Vec<Change>),
}

impl Pass {
    /// A first load goes on where it was; `known`: what the index has of the object, for the other kinds.
    pub fn new(object: &str, why: Why, load: Option<Load>, known: &[RecordId]) -> Self {
        let mut known: Vec<(u128, bool)> = known.iter().map(|id| (packed(id), false)).collect();
        known.sort_unstable();
        Self {
            object: object.to_owned(),
            why,
            load,
            known,
            job_is_complete: false,
            page: None,
            page_rows: 0,
            look: LOOK.0,
        }
    }

    /// The next rows, or what comes before them.
    pub async fn step(&mut self, client: &Client, source: &Source, bulk_above: u64) -> Result<Step, Error> {
        let Some(load) = &self.load else {
            self.load = Some(begin(client, source, bulk_above).await?);
            return Ok(if source.is_names_only() { Step::Done(Vec::new()) } else { Step::More(Vec::new()) });
        };
        match load.way.clone() {
            Way::Pages(behind) => self.page(client, source, behind).await,
            Way::Bulk(job, locator) => match self.bulk(client, source, job, locator).await {
                Err(error) if is_gone(&error) => Ok(self.start_again(Way::Bulk(None, None))),
                Err(error) if error.code().is_some() && matches!(error.retry(), Retry::Never | Retry::WhenMended) => {
                    // Not every object, and not every user, can be read in bulk.
                    tracing::warn!(object = self.object, %error, "cannot be read in bulk; it is read page by page");
                    Ok(self.start_again(Way::Pages(None)))
                }
                Err(error) => {
                    self.page = None;
                    Err(error)
                }
                step => step,
            },
        }
    }

    /// Whether it has begun, and not one row was read.
    pub fn is_fresh(&self) -> bool {
        self.loaded() == 0 && !matches!(self.load, Some(Load { way: Way::Bulk(Some(_), _), .. }))
    }

    /// Rows read so far, those of the page under way too.
    pub fn loaded(&self) -> u64 {
        self.load.as_ref().map_or(0, |load| load.loaded) + self.page_rows
    }

    /// What the index has and the org has not.
    pub fn missing(&self) -> Vec<Change> {
        let unseen = self.known.iter().filter(|(_, seen)| !seen);
        unseen.filter_map(|(id, _)| unpacked(*id)).map(Change::Gone).collect()
    }

    async fn page(&mut self, client: &Client, source: &Source, behind: Option<RecordId>) -> Result<Step, Error> {
        let answers = client.query_together(&[source.page(behind.as_ref())?]).await?;
        let page = answers.pages.into_iter().next().unwrap_or_else(no_answer)?;
        let last = page.rows.last().map(|row| row.id.clone());
        if last.is_some() && last == behind {
            return Err(Error::Garbage { status: 200, what: "rows behind the one that was named were expected" });
        }
        // The end is what Salesforce calls the end, never a short page.
        let is_last = last.is_none() || page.done && page.rows.len() < PAGE as usize;
        let changes = self.changes(source, &page.rows);
        self.advance(page.rows.len() as u64, Way::Pages(last.or(behind)));
        Ok(if is_last { Step::Done(changes) } else { Step::More(changes) })
    }

    async fn bulk(
        &mut self,
        client: &Client,
        source: &Source,
        job: Option<BulkJob>,
        locator: Option<String>,
    ) -> Result<Step, Error> {
        let Some(job) = job else {
            let job = client.bulk_start(&source.all()?).await?;
            self.advance(0, Way::Bulk(Some(job), None));
            return Ok(Step::Wait(self.look));
        };
        if !self.job_is_complete {
            return self.look_at(client, &job).await;
        }
        let page = match &mut self.page {
            Some(page) => page,
            None => self.page.insert(client.bulk_page(source.object(), &job, locator.as_deref()).await?),
        };
        let mut chunk = Vec::with_capacity(CHUNK);
        while chunk.len() < CHUNK {
            let Some(rows) = page.rows().await? else { break };
            chunk.extend(rows);
        }
        let (is_over, next) = (chunk.len() < CHUNK, page.next.clone());
        self.page_rows += chunk.len() as u64;
        let changes = self.changes(source, &chunk);
        if !is_over {
            return Ok(Step::More(changes));
        }
        self.page = None;
        let rows = std::mem::take(&mut self.page_rows);
        self.advance(rows, Way::Bulk(Some(job.clone()), next.clone()));
        if next.is_some() {
            return Ok(Step::More(changes));
        }
        // What is not forgotten here is forgotten by Salesforce after a week.
        let _ = client.bulk_forget(&job).await;
        Ok(Step::Done(changes))
    }

    async fn look_at(&mut self, client: &Client, job: &BulkJob) -> Result<Step, Error> {
        match client.bulk_state(job).await? {
            BulkState::Running(_) => {
                let wait = self.look;
                self.look = (self.look * 2).min(LOOK.1);
                Ok(Step::Wait(wait))
            }
            BulkState::Complete(rows) => {
                self.job_is_complete = true;
                if let Some(load) = &mut self.load {
                    load.of = Some(rows);
                }
                Ok(Step::Wait(Duration::ZERO))
            }
            BulkState::Failed(error) => {
                self.start_again(Way::Bulk(None, None));
                Err(error)
            }
        }
    }

    fn changes(&mut self, source: &Source, rows: &[Found]) -> Vec<Change> {
        let mut changes = Vec::with_capacity(rows.len());
        for found in rows {
            let id = packed(&found.id);
            let place = self.known.binary_search_by_key(&id, |(id, _)| *id);
            if let Some((_, seen)) = place.ok().and_then(|place| self.known.get_mut(place)) {
                *seen = true;
            }
            changes.extend(source.row(found).map(Change::Put));
        }
        changes
    }

    fn advance(&mut self, rows: u64, way: Way) {
        if let Some(load) = &mut self.load {
            load.loaded += rows;
            load.way = way;
        }
    }

    fn start_again(&mut self, way: Way) -> Step {
        (self.page, self.page_rows, self.job_is_complete, self.look) = (None, 0, false, LOOK.0);
        if let Some(load) = &mut self.load {
            load.loaded = 0;
            load.way = way;
        }
        Step::Wait(Duration::ZERO)
    }
}

fn no_answer() -> Result<Rows, Error> {
    Err(Error::Garbage { status: 200, what: "an outcome for each query was expected" })
}

/// Counts, and notes when the object was last touched: changes are followed from there.
async fn begin(client: &Client, source: &Source, bulk_above: u64) -> Result<Load, Error> {
    let mut queries = vec![source.newest()?];
    if !source.is_names_only() {
        queries.push(source.count()?);
    }
    let began = Instant::now();
    let answers = client.query_together(&queries).await?;
    let asked = answers.at.and_then(|at| at.checked_sub(SignedDuration::try_from(began.elapsed()).ok()?).ok());
    let mut pages = answers.pages.into_iter();
    let newest = pages.next().unwrap_or_else(no_answer)?;
    let newest = newest.rows.first().and_then(super::source::mark).map(|mark| mark.stamp);
    let since = newest.map(|newest| open_since(newest, asked));
    let of = match pages.next() {
        Some(Ok(count)) => Some(count.total),
        Some(Err(error)) if error.code() != Some("QUERY_TIMEOUT") => return Err(error),
        Some(Err(_)) | None => None,
    };
    let by_pages = of.is_some_and(|of| of <= bulk_above);
    let way = if by_pages { Way::Pages(None) } else { Way::Bulk(None, None) };
    Ok(Load { since, of, loaded: 0, way })
}

/// The job's results are no longer there.
fn is_gone(error: &Error) -> bool {
    matches!(
        error.code(),
        Some("NOT_FOUND" | "INVALIDJOB" | "INVALIDJOBSTATE" | "INVALID_QUERY_LOCATOR" | "ENTITY_IS_DELETED")
    )
}

/// The fifteen characters that tell records apart.
fn packed(id: &RecordId) -> u128 {
    id.as_str().bytes().take(15).fold(0, |packed, byte| packed << 8 | u128::from(byte))
}

fn unpacked(packed: u128) -> Option<RecordId> {
    let bytes = packed.to_be_bytes();
    RecordId::parse(std::str::from_utf8(bytes.get(1..)?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_packed_and_unpacked() {
        let id = RecordId::parse("003xx000004TmiQ").unwrap();
        assert_eq!(unpacked(packed(&id)), Some(id));
    }
}
