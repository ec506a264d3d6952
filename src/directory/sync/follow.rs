//! Where the reading of an object's changes stands: places in the order of `(SystemModstamp, Id)`. Pure.
//!
//! A row gets its stamp before it is committed, so rows may still come in behind what was read. What is older than [`OVERLAP`] by the
//! org's own clock is *settled*; what is younger is read again with each poll. After a change of many rows that would be too much: then
//! only what is new is read with each poll, and the rest once more when it has settled.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::salesforce::RecordId;

/// How long after its stamp a row is committed at the latest.
pub(super) const OVERLAP: Duration = Duration::from_mins(5);
/// The most rows that are read again with each poll.
const QUIET: usize = 1000;

/// A place in the order of `(SystemModstamp, Id)`: behind this row, or without an id before the rows of that moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Mark {
    pub stamp: Timestamp,
    pub id: Option<RecordId>,
}

/// How far an object's changes have been read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Follow {
    /// Nothing comes in before this any more. None: nothing is known.
    settled: Option<Mark>,
    /// The last row that was read.
    tip: Option<Mark>,
    /// Rows between the two.
    unsettled: usize,
    /// More rows are known to be behind the tip.
    backlog: bool,
    look_back: Option<LookBack>,
    /// When what is not settled is read again, by the org's clock.
    look_back_at: Option<Timestamp>,
}

/// What is not settled is being read once more, page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LookBack {
    at: Option<Mark>,
    until: Option<Mark>,
    began: Timestamp,
    /// The last row that has settled, and how many came after it.
    settled: Option<Mark>,
    unsettled: usize,
    /// Rows that were read meanwhile at the tip.
    meanwhile: usize,
}

/// Which page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// From what is settled on, to the newest.
    Whole,
    /// What is new.
    Tip,
    /// What is read once more.
    Again,
}

impl Follow {
    /// Begins at this moment. None: with the first row of all.
    pub fn from(since: Option<Timestamp>) -> Self {
        let mark = since.map(|stamp| Mark { stamp, id: None });
        Self { settled: mark.clone(), tip: mark, ..Self::default() }
    }

    /// Goes back to read all once more that was touched since this moment.
    pub fn rewind(&mut self, since: Option<Timestamp>) {
        let back = Self::from(since);
        if back.settled < self.settled {
            *self = back;
        }
    }

    /// The page that each poll begins with, and the place that it begins behind.
    pub fn first(&self) -> (Part, Option<&Mark>) {
        if self.unsettled <= QUIET && self.look_back.is_none() && !self.backlog {
            (Part::Whole, self.settled.as_ref())
        } else {
            (Part::Tip, self.tip.as_ref())
        }
    }

    /// A further page that is worth reading now, if there is one. `now`: by the org's clock.
    pub fn next(&mut self, now: Timestamp) -> Option<(Part, Option<&Mark>)> {
        if self.backlog {
            return Some((Part::Tip, self.tip.as_ref()));
        }
        if self.look_back.is_none() && self.unsettled > QUIET && self.look_back_at.is_none_or(|at| at <= now) {
            self.look_back = Some(LookBack {
                at: self.settled.clone(),
                until: self.tip.clone(),
                began: now,
                settled: None,
                unsettled: 0,
                meanwhile: 0,
            });
        }
        self.look_back.as_ref().map(|again| (Part::Again, again.at.as_ref()))
    }

    /// Whether rows are known to wait.
    pub fn has_more(&self) -> bool {
        self.backlog
    }

    /// These rows were read, in their order. `all`: there is none behind them. `asked`: when, by the org's clock.
    pub fn read(&mut self, part: Part, rows: &[Mark], all: bool, asked: Timestamp) {
        match part {
            Part::Whole => self.read_whole(rows, all, asked),
            Part::Tip => self.read_tip(rows, all, asked),
            Part::Again => self.read_again(rows, all),
        }
    }

    fn read_whole(&mut self, rows: &[Mark], all: bool, asked: Timestamp) {
        let (settled, unsettled) = split(rows, asked);
        self.settled = settled.or(self.settled.take());
        self.unsettled = unsettled;
        self.tip = rows.last().cloned().max(self.tip.take());
        self.backlog = !all;
        self.look_back_at = Some(after(asked));
    }

    fn read_tip(&mut self, rows: &[Mark], all: bool, asked: Timestamp) {
        self.tip = rows.last().cloned().max(self.tip.take());
        self.unsettled += rows.len();
        self.backlog = !all;
        match &mut self.look_back {
            Some(again) => again.meanwhile += rows.len(),
            None if !rows.is_empty() && self.look_back_at.is_none() => self.look_back_at = Some(after(asked)),
            None => {}
        }
    }

    fn read_again(&mut self, rows: &[Mark], all: bool) {
        let Some(again) = &mut self.look_back else { return };
        let (settled, unsettled) = split(rows, again.began);
        if settled.is_some() {
            again.settled = settled;
            again.unsettled = unsettled;
        } else {
            again.unsettled += unsettled;
        }
        again.at = rows.last().cloned().or(again.at.take());
        if all || again.at >= again.until {
            self.unsettled = again.unsettled + again.meanwhile;
            self.look_back_at = Some(after(again.began));
            self.settled = again.settled.take().or(self.settled.take());
            self.look_back = None;
        }
    }
}

/// From when on rows may still come in, where this row was the newest. `asked`: when, by the org's clock, if it tells.
pub(super) fn open_since(newest: Timestamp, asked: Option<Timestamp>) -> Timestamp {
    asked.map_or_else(|| before(newest), |asked| newest.min(before(asked)))
}

/// The last of the rows that has settled, and how many come after it.
fn split(rows: &[Mark], asked: Timestamp) -> (Option<Mark>, usize) {
    let count = rows.partition_point(|row| row.stamp <= before(asked));
    let (settled, rest) = rows.split_at(count);
    (settled.last().cloned(), rest.len())
}

fn before(stamp: Timestamp) -> Timestamp {
    stamp.checked_sub(OVERLAP).unwrap_or(Timestamp::MIN)
}

fn after(stamp: Timestamp) -> Timestamp {
    stamp.checked_add(OVERLAP).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn rows(stamp: i64, ids: std::ops::Range<u32>) -> Vec<Mark> {
        let id = |n: u32| RecordId::parse(&format!("003xx{n:010}")).ok();
        ids.map(|n| Mark { stamp: at(stamp), id: id(n) }).collect()
    }

    /// Everything was read up to second 0, and is settled.
    fn quiet() -> Follow {
        let mut follow = Follow::from(Some(at(0)));
        follow.read(Part::Whole, &rows(0, 0..1), true, at(400));
        assert_eq!(follow.settled, Some(rows(0, 0..1).remove(0)));
        follow
    }

    #[test]
    fn what_is_young_is_read_again_with_each_poll_until_it_has_settled() {
        let mut follow = quiet();
        let young = rows(1000, 1..4);
        follow.read(Part::Whole, &young, true, at(1010));
        assert_eq!(follow.first(), (Part::Whole, rows(0, 0..1).first()));
        assert_eq!(follow.next(at(1010)), None);
        follow.read(Part::Whole, &young, true, at(1300));
        assert_eq!(follow.first(), (Part::Whole, young.last()));
        // A row that came in late, before what was read.
        assert_eq!(follow.unsettled, 0);
    }

    #[test]
    fn many_changes_are_read_once_at_once_and_once_more_when_they_have_settled() {
        let mut follow = quiet();
        follow.read(Part::Whole, &rows(1000, 0..2000), false, at(1000));
        assert_eq!(follow.next(at(1001)), Some((Part::Tip, rows(1000, 1999..2000).first())));
        follow.read(Part::Tip, &rows(1000, 2000..3000), true, at(1001));
        assert_eq!(follow.next(at(1001)), None, "not before they have settled");
        assert_eq!(follow.first(), (Part::Tip, rows(1000, 2999..3000).first()));
        follow.read(Part::Tip, &rows(1100, 3000..3010), true, at(1100));
        assert_eq!(follow.next(at(1301)), Some((Part::Again, rows(0, 0..1).first())));
        follow.read(Part::Again, &rows(1000, 0..2000), false, at(1301));
        assert_eq!(follow.first().0, Part::Tip, "what is new does not wait for what is read once more");
        follow.read(Part::Tip, &rows(1310, 3010..3012), true, at(1311));
        assert_eq!(follow.next(at(1311)), Some((Part::Again, rows(1000, 1999..2000).first())));
        let rest: Vec<Mark> = rows(1000, 2000..3000).into_iter().chain(rows(1100, 3000..3010)).collect();
        follow.read(Part::Again, &rest, false, at(1311));
        assert_eq!(follow.next(at(1311)), None);
        assert_eq!(follow.first(), (Part::Whole, rows(1000, 2999..3000).first()));
        assert_eq!(follow.unsettled, 12);
    }

    #[test]
    fn it_goes_back_and_never_forth() {
        let mut follow = quiet();
        follow.rewind(Some(at(1000)));
        assert_eq!(follow, quiet());
        follow.rewind(Some(at(-200)));
        assert_eq!(follow.first(), (Part::Whole, Some(&Mark { stamp: at(-200), id: None })));
        assert_eq!(open_since(at(100), Some(at(1000))), at(100));
        assert_eq!(open_since(at(900), Some(at(1000))), at(700));
        assert_eq!(open_since(at(900), None), at(600));
        follow.rewind(None);
        assert_eq!(follow.first(), (Part::Whole, None), "the object was empty then");
    }

    #[test]
    fn an_object_without_rows_is_read_from_its_first_one() {
        let mut follow = Follow::from(None);
        follow.read(Part::Whole, &[], true, at(0));
        assert_eq!(follow.first(), (Part::Whole, None));
    }
}
