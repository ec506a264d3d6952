//! One poll: what was touched in up to five objects, in one API call, and further pages where there are more.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::follow::{Follow, Mark, Part};
use super::source::{PAGE, Source, mark};
use crate::directory::row::Change;
use crate::salesforce::{Client, Error, Found, MAX_QUERIES, RecordId, Rows, Soql};

/// The most calls of one poll. What is left comes with the next, so that a change of all rows does not use up the org's calls at once.
pub(super) const MAX_CALLS: usize = 10;
/// The most rows that are remembered as taken in.
const MAX_RECENT: usize = 10_000;

/// Rows that were taken in a moment ago, so that what is read again is not taken in again.
#[derive(Debug, Default)]
pub(super) struct Recent(HashMap<RecordId, u64>);

/// A page to be asked for.
pub(super) struct Ask {
    pub object: String,
    part: Part,
    queries: Vec<Soql>,
}

/// What a page brought.
pub(super) struct Page {
    /// In their order.
    marks: Vec<Mark>,
    /// Those that count, by id; of the others only the mark is known.
    found: BTreeMap<RecordId, Found>,
    all: bool,
}

impl Ask {
    /// # Errors
    /// When a name or a condition of the settings cannot be asked for.
    pub fn new(source: &Source, (part, behind): (Part, Option<&Mark>)) -> Result<Self, Error> {
        Ok(Self { object: source.object().to_owned(), part, queries: source.touched(behind)? })
    }

    pub fn slots(&self) -> usize {
        self.queries.len()
    }
}

/// As many of these as go into one call, in order.
pub(super) fn fitting(asks: Vec<Ask>) -> Vec<Ask> {
    let mut slots = 0;
    asks.into_iter()
        .take_while(|ask| {
            slots += ask.slots();
            slots <= MAX_QUERIES
        })
        .collect()
}

/// What was asked, answered; and when, by the org's clock, as far as it tells.
pub(super) struct Polled {
    pub pages: Vec<(Ask, Result<Page, Error>)>,
    pub asked: Option<Timestamp>,
}

/// One API call.
pub(super) async fn ask(client: &Client, asks: Vec<Ask>) -> Result<Polled, Error> {
    let queries: Vec<Soql> = asks.iter().flat_map(|ask| ask.queries.iter().cloned()).collect();
    let began = Instant::now();
    let answers = client.query_together(&queries).await?;
    let took = SignedDuration::try_from(began.elapsed()).unwrap_or_default();
    let asked = answers.at.and_then(|at| at.checked_sub(took).ok());
    let mut answers = answers.pages.into_iter();
    let mut pages = Vec::with_capacity(asks.len());
    for ask in asks {
        let touched = answers.next().unwrap_or_else(nothing);
        let meeting = if ask.slots() > 1 { Some(answers.next().unwrap_or_else(nothing)) } else { None };
        pages.push((ask, page(touched, meeting)));
    }
    Ok(Polled { pages, asked })
}

fn nothing() -> Result<Rows, Error> {
    Err(Error::Garbage { status: 200, what: "an outcome for each query was expected" })
}

fn page(touched: Result<Rows, Error>, meeting: Option<Result<Rows, Error>>) -> Result<Page, Error> {
    let touched = touched?;
    let mut all = is_all(&touched);
    let mut marks = marks(&touched.rows)?;
    let Some(meeting) = meeting.transpose()? else {
        let found = touched.rows.into_iter().map(|found| (found.id.clone(), found)).collect();
        return Ok(Page { marks, found, all });
    };
    // A row that was touched between the two queries is not among those that meet the condition here, but comes with the next poll.
    if !is_all(&meeting) {
        let last = self::marks(&meeting.rows)?.pop();
        let before = marks.len();
        marks.retain(|mark| last.as_ref().is_some_and(|last| mark <= last));
        all &= marks.len() == before;
    }
    let found = meeting.rows.into_iter().map(|found| (found.id.clone(), found)).collect();
    Ok(Page { marks, found, all })
}

/// The end of a list is what Salesforce calls the end, never a short page.
fn is_all(rows: &Rows) -> bool {
    rows.done && rows.rows.len() < PAGE as usize
}

fn marks(rows: &[Found]) -> Result<Vec<Mark>, Error> {
    let marks: Option<Vec<Mark>> = rows.iter().map(mark).collect();
    marks.ok_or(Error::Garbage { status: 200, what: "each row needs a SystemModstamp" })
}

impl Page {
    /// What the page says about the index, and moves on behind it.
    pub fn take(
        self,
        ask: &Ask,
        source: &Source,
        follow: &mut Follow,
        recent: &mut Recent,
        asked: Option<Timestamp>,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for id in self.marks.iter().filter_map(|mark| mark.id.as_ref()) {
            let found = self.found.get(id);
            if recent.is_new(id, found) {
                match found {
                    Some(found) => changes.extend(source.changes(found)),
                    None => changes.push(Change::Gone(id.clone())),
                }
            }
        }
        // Where the org does not tell its time, it is at least that of its newest row.
        let asked = asked.or_else(|| self.marks.last().map(|mark| mark.stamp)).unwrap_or(Timestamp::MIN);
        follow.read(ask.part, &self.marks, self.all, asked);
        changes
    }
}

impl Recent {
    /// Whether this row was not taken in like this a moment ago. A stamp is of whole seconds, and a row can change twice in one: so
    /// all that is read of it counts.
    fn is_new(&mut self, id: &RecordId, found: Option<&Found>) -> bool {
        let mut hasher = DefaultHasher::new();
        found.map(|found| &found.fields).hash(&mut hasher);
        if self.0.len() >= MAX_RECENT {
            self.0.clear();
        }
        let hash = hasher.finish();
        self.0.insert(id.clone(), hash) != Some(hash)
    }

    /// After the index has lost or gained rows in another way.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}
