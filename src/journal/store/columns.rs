//! What the columns of an entry say.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::Written;
use crate::calls::record::{CallRecord, Extension};
use crate::directory::answer::Answer;
use crate::journal::entry::{Entry, EntryId, EntryState, Repairs};
use crate::journal::seal::{seal, unseal};
use crate::journal::task;
use crate::salesforce::RecordId;

pub(super) fn entry(row: &SqliteRow) -> Written<Entry> {
    let text = |column| row.try_get::<Option<String>, _>(column);
    let (record, notes, repairs): (String, String, String) =
        (row.try_get("record")?, row.try_get("notes")?, row.try_get("repairs")?);
    let record: CallRecord = from_json(&record)?;
    let answer: Option<Answer> = text("answer")?.as_deref().map(from_json).transpose()?;
    let task = text("task")?.map(|id| RecordId::parse(whole(&id)?).map_err(decode));
    let repairs: Repairs = from_json(&repairs)?;
    let (call, key, agent) = (record.call.key.clone(), row.try_get::<String, _>("key")?, text("agent")?.map(Extension));
    if key != task::key(&call, agent.as_ref()) {
        return Err(damaged());
    }
    Ok(Entry {
        id: EntryId(row.try_get("id")?),
        key,
        call,
        agent,
        record,
        answer,
        notes: from_json(&notes)?,
        noted: row.try_get("noted")?,
        tried: row.try_get::<i64, _>("sent_noted")? >= 0,
        state: state(row)?,
        task: task.transpose()?,
        attempts: row.try_get("attempts")?,
        repairs,
    })
}

pub(super) fn state(row: &SqliteRow) -> Written<EntryState> {
    let due: i64 = row.try_get("due")?;
    let (since, due) = (time(row.try_get("since")?)?, (due != 0).then(|| time(due)).transpose()?);
    let reason: Option<String> = row.try_get("reason")?;
    let reason = reason.as_deref().map(from_json).transpose()?;
    let name: String = row.try_get("state")?;
    Ok(match (name.as_str(), reason) {
        ("wire", _) => EntryState::Wire { since, look_at: due },
        ("done", _) => EntryState::Done { at: since },
        ("parked", Some(reason)) => EntryState::Parked { at: since, reason },
        (_, reason) => EntryState::Waiting { not_before: due, reason },
    })
}

pub(super) fn time(millisecond: i64) -> Written<Timestamp> {
    Timestamp::from_millisecond(millisecond).map_err(decode)
}

/// Sealed, as all texts of a row are.
pub(super) fn json(value: &impl Serialize) -> Written<String> {
    serde_json::to_string(value).map(|text| seal(&text)).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// From a sealed text.
pub(super) fn from_json<T: DeserializeOwned>(sealed: &str) -> Written<T> {
    serde_json::from_str(whole(sealed)?).map_err(decode)
}

fn whole(sealed: &str) -> Written<&str> {
    unseal(sealed).ok_or_else(damaged)
}

fn damaged() -> sqlx::Error {
    decode(std::io::Error::other("damaged on disk"))
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
