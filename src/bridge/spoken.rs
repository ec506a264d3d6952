//! Tells the directory whom a number spoke with: from the journal at the start, then from each call and each agent's choice.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::board::Board;
use crate::calls::record::{CallRecord, Disposition};
use crate::directory::answer::Answer;
use crate::directory::{Directory, Told};
use crate::http::Note;
use crate::journal::{Filter, Journal};

/// The most calls of the journal that are looked at.
const CALLS: u32 = 20_000;

/// From the calls that the journal remembers.
pub async fn recall(directory: Directory, journal: Journal) {
    let entries = match journal.list(Filter::Done, CALLS).await {
        Ok(entries) => entries,
        Err(error) => return tracing::warn!(%error, "whom callers last spoke with could not be read"),
    };
    for entry in entries.iter().rev() {
        if let Some((record, chosen)) = entry.spoken_with() {
            let told = if chosen { Told::ByTheAgent } else { Told::ByTheCall };
            let call = &entry.record;
            directory.spoke(&call.call.party.number, record.clone(), day(call.ended), told);
        }
    }
    tracing::debug!(calls = entries.len(), "recalled whom callers last spoke with");
}

/// A call is over.
pub fn ended(directory: &Directory, record: &CallRecord, answer: Option<&Answer>) {
    if record.disposition == Disposition::Answered
        && let Some(found) = answer.and_then(Answer::only_one)
    {
        directory.spoke(&record.call.party.number, found.id.clone(), day(record.ended), Told::ByTheCall);
    }
}

/// An agent says who it is, of a call that goes on or has ended lately.
pub fn chosen(directory: &Directory, board: &Board, note: &Note) {
    if let (Some(record), Some(number)) = (&note.record_id, board.number_of(&note.call)) {
        directory.spoke(&number, record.clone(), day(Timestamp::now()), Told::ByTheAgent);
    }
}

/// By the zone of this machine, where the agents are.
fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::system()).date()
}
