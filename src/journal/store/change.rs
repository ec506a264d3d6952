//! Each change that may be written, as statements of one transaction.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::Written;
use super::columns::{from_json, json, state};
use super::ended::{self, Ended};
use crate::journal::Counts;
use crate::journal::entry::{EntryId, EntryState, Event, Reason};
use crate::journal::note::{Note, Noted, merge};
use crate::journal::op::{Changed, Op, Outcome, Settled, Settlement, Split};
use crate::journal::seal::seal;
use crate::salesforce::RecordId;

/// All of these, in order; finished calls that follow one another together.
pub(super) async fn apply_all<'a>(
    connection: &mut SqliteConnection,
    ops: impl Iterator<Item = &'a Op>,
) -> Written<Vec<Outcome>> {
    let (mut outcomes, mut over) = (Vec::new(), Vec::new());
    for op in ops {
        if let Op::Ended { call, record, answer } = op {
            over.push(Ended { call, record, answer: answer.as_deref() });
        } else if !matches!(op, Op::Flush) {
            ended::insert(connection, &over).await?;
            over.clear();
        }
        outcomes.push(apply(connection, op).await?);
    }
    ended::insert(connection, &over).await?;
    Ok(outcomes)
}

async fn apply(connection: &mut SqliteConnection, op: &Op) -> Written<Outcome> {
    match op {
        Op::Keep { call, json } => keep(connection, call, json).await?,
        Op::Forget { call } => forget(connection, call).await?,
        // A finished call is written with its neighbours.
        Op::Ended { .. } | Op::Flush => {}
        Op::Note { call, note } => {
            return note_call(connection, call, note).await.map(Outcome::Noted);
        }
        Op::Retry(id) => return retry(connection, *id).await.map(Outcome::Changed),
        Op::Drop(id) => return drop_entry(connection, *id).await.map(Outcome::Changed),
        Op::Split(all) => {
            for one in all {
                split(connection, one).await?;
            }
        }
        Op::Answered(all) => {
            for (id, answer) in all {
                answered(connection, *id, answer).await?;
            }
        }
        Op::PutOnWire { entries, at } => {
            return put_on_wire(connection, entries, *at).await.map(Outcome::OnWire);
        }
        Op::Settle(all) => {
            for settlement in all {
                settle(connection, settlement).await?;
            }
        }
        Op::Compared { entries, at } => {
            for (id, task) in entries {
                compared(connection, *id, task.as_ref(), *at).await?;
            }
        }
        Op::Resume { at } => resume(connection, *at).await?,
        Op::Park { ids, at, reason } => {
            for id in ids {
                park(connection, *id, *at, reason).await?;
            }
        }
        Op::Prune { before } => prune(connection, *before).await?,
    }
    Ok(Outcome::Safe)
}

async fn keep(connection: &mut SqliteConnection, call: &str, json: &str) -> Written<()> {
    sqlx::query(
        "INSERT INTO open_calls (call, json) SELECT ?1, ?2
         WHERE NOT EXISTS (SELECT 1 FROM entries WHERE call = ?1)
           AND NOT EXISTS (SELECT 1 FROM dropped WHERE call = ?1)
         ON CONFLICT (call) DO UPDATE SET json = excluded.json",
    )
    .bind(call)
    .bind(seal(json))
    .execute(connection)
    .await?;
    Ok(())
}

async fn forget(connection: &mut SqliteConnection, call: &str) -> Written<()> {
    sqlx::query("DELETE FROM open_calls WHERE call = ?1").bind(call).execute(connection).await?;
    Ok(())
}

async fn note_call(connection: &mut SqliteConnection, call: &str, note: &Note) -> Written<Noted> {
    let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM entries WHERE call = ?1 ORDER BY id")
        .bind(call)
        .fetch_all(&mut *connection)
        .await?;
    if ids.is_empty() {
        return note_open(connection, call, note).await;
    }
    let mut noted = Noted::NotFound;
    for id in ids {
        noted = note_entry(connection, EntryId(id), note).await?;
    }
    Ok(noted)
}

async fn note_open(connection: &mut SqliteConnection, call: &str, note: &Note) -> Written<Noted> {
    let notes: Option<String> = sqlx::query_scalar("SELECT notes FROM open_calls WHERE call = ?1")
        .bind(call)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(notes) = notes else {
        return Ok(Noted::NotFound);
    };
    sqlx::query("UPDATE open_calls SET notes = ?2 WHERE call = ?1")
        .bind(call)
        .bind(with_note(&notes, note)?)
        .execute(connection)
        .await?;
    Ok(Noted::Open)
}

async fn note_entry(connection: &mut SqliteConnection, id: EntryId, note: &Note) -> Written<Noted> {
    let Some(current) = current(connection, id).await? else {
        return Ok(Noted::NotFound);
    };
    sqlx::query("UPDATE entries SET notes = ?2, noted = noted + 1 WHERE id = ?1")
        .bind(id.0)
        .bind(with_note(&current.notes, note)?)
        .execute(&mut *connection)
        .await?;
    let state = current.state.after(Event::Noted);
    save(connection, id, &state).await?;
    Ok(match state {
        EntryState::Parked { .. } => Noted::Parked,
        EntryState::Wire { .. } => Noted::Update,
        EntryState::Waiting { .. } | EntryState::Done { .. } if current.task.is_some() => Noted::Update,
        EntryState::Waiting { .. } | EntryState::Done { .. } => Noted::Waiting,
    })
}

fn with_note(notes: &str, note: &Note) -> Written<String> {
    // What an earlier version wrote must not stop this one.
    json(&merge(from_json(notes).unwrap_or_default(), note.clone()))
}

async fn retry(connection: &mut SqliteConnection, id: EntryId) -> Written<Changed> {
    let Some(current) = current(connection, id).await? else {
        return Ok(Changed::NotFound);
    };
    if matches!(current.state, EntryState::Done { .. }) {
        return Ok(Changed::NotNow);
    }
    sqlx::query("UPDATE entries SET attempts = 0, repairs = '{}' WHERE id = ?1")
        .bind(id.0)
        .execute(&mut *connection)
        .await?;
    save(connection, id, &current.state.after(Event::Retry)).await?;
    Ok(Changed::Done)
}

/// The call is remembered, so that hearing of it again does not bring it back.
async fn drop_entry(connection: &mut SqliteConnection, id: EntryId) -> Written<Changed> {
    let Some(current) = current(connection, id).await? else {
        return Ok(Changed::NotFound);
    };
    match current.state {
        EntryState::Waiting { .. } | EntryState::Parked { .. } => {}
        EntryState::Wire { .. } | EntryState::Done { .. } => return Ok(Changed::NotNow),
    }
    sqlx::query(
        "INSERT INTO dropped (call, at) SELECT call, ?2 FROM entries WHERE id = ?1
         ON CONFLICT (call) DO NOTHING",
    )
    .bind(id.0)
    .bind(Timestamp::now().as_millisecond())
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM entries WHERE id = ?1").bind(id.0).execute(connection).await?;
    Ok(Changed::Done)
}

/// Only an entry that was never on the wire: another may be in Salesforce under the call's own key.
async fn split(connection: &mut SqliteConnection, Split { id, agents }: &Split) -> Written<()> {
    let Some(((key, agent), others)) = agents.split_first() else {
        return Ok(());
    };
    let changed = sqlx::query(
        "UPDATE entries SET key = ?2, agent = ?3
         WHERE id = ?1 AND state = 'waiting' AND agent IS NULL AND sent_noted = -1",
    )
    .bind(id.0)
    .bind(key)
    .bind(&agent.0)
    .execute(&mut *connection)
    .await?;
    if changed.rows_affected() == 0 {
        return Ok(());
    }
    for (key, agent) in others {
        sqlx::query(
            "INSERT INTO entries (call, key, agent, record, answer, notes, state)
             SELECT call, ?2, ?3, record, answer, notes, 'waiting' FROM entries WHERE id = ?1
             ON CONFLICT (key) DO NOTHING",
        )
        .bind(id.0)
        .bind(key)
        .bind(&agent.0)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn answered(connection: &mut SqliteConnection, id: EntryId, answer: &str) -> Written<()> {
    sqlx::query("UPDATE entries SET answer = ?2 WHERE id = ?1")
        .bind(id.0)
        .bind(seal(answer))
        .execute(connection)
        .await?;
    Ok(())
}

/// Those that went: an operator may have dropped one since it was read. Each goes with the notes that it was read with.
async fn put_on_wire(
    connection: &mut SqliteConnection,
    entries: &[(EntryId, i64)],
    at: Timestamp,
) -> Written<Vec<EntryId>> {
    let mut gone = Vec::new();
    for (id, noted) in entries {
        let Some(current) = current(connection, *id).await? else {
            continue;
        };
        let EntryState::Waiting { .. } = current.state else {
            continue;
        };
        sqlx::query("UPDATE entries SET sent_noted = ?2 WHERE id = ?1")
            .bind(id.0)
            .bind(noted)
            .execute(&mut *connection)
            .await?;
        save(connection, *id, &current.state.after(Event::Sent { at })).await?;
        gone.push(*id);
    }
    Ok(gone)
}

async fn settle(connection: &mut SqliteConnection, settlement: &Settlement) -> Written<()> {
    let id = settlement.id;
    let Some(current) = current(connection, id).await? else {
        return Ok(());
    };
    let (event, task) = match &settlement.what {
        Settled::Event(event) => (event.clone(), current.task),
        Settled::Task(task, at) => {
            let noted = current.noted != current.sent_noted;
            (Event::Logged { at: *at, noted }, Some(seal(task.as_str())))
        }
    };
    sqlx::query("UPDATE entries SET task = ?2, attempts = ?3, repairs = ?4 WHERE id = ?1")
        .bind(id.0)
        .bind(task)
        .bind(settlement.attempts)
        .bind(json(&settlement.repairs)?)
        .execute(&mut *connection)
        .await?;
    save(connection, id, &current.state.after(event)).await
}

/// Only what does not speak against the state that the entry has by now.
async fn compared(
    connection: &mut SqliteConnection,
    id: EntryId,
    task: Option<&RecordId>,
    at: Timestamp,
) -> Written<()> {
    let Some(current) = current(connection, id).await? else {
        return Ok(());
    };
    let event = match task {
        Some(_) => Event::Found { at, noted: current.noted > 0 },
        None => Event::Missing,
    };
    let applies = match current.state {
        EntryState::Waiting { .. } | EntryState::Parked { .. } => task.is_some(),
        EntryState::Done { .. } => task.is_none(),
        EntryState::Wire { .. } => false,
    };
    if !applies {
        return Ok(());
    }
    // What was mended for a Task that is gone may not be true of the next one.
    sqlx::query(
        "UPDATE entries SET task = ?2, attempts = 0, repairs = CASE WHEN ?2 IS NULL THEN '{}' ELSE repairs END
         WHERE id = ?1",
    )
    .bind(id.0)
    .bind(task.map(RecordId::as_str))
    .execute(&mut *connection)
    .await?;
    save(connection, id, &current.state.after(event)).await
}

async fn resume(connection: &mut SqliteConnection, at: Timestamp) -> Written<()> {
    sqlx::query("UPDATE entries SET due = 0 WHERE state IN ('waiting', 'wire') AND due <> 0")
        .execute(&mut *connection)
        .await?;
    // A clock that was set meanwhile says nothing of how long ago they were sent: the time after which they are sent
    // again begins anew.
    sqlx::query("UPDATE entries SET since = ?1 WHERE state = 'wire'")
        .bind(at.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// Whatever its columns say, since they may be what cannot be read.
async fn park(connection: &mut SqliteConnection, id: EntryId, at: Timestamp, reason: &Reason) -> Written<()> {
    let reason = reason.clone();
    save(connection, id, &EntryState::Parked { at, reason }).await
}

/// The oldest first, a few thousand at a time, so that the writer is soon free again however many are kept. The room that they
/// took goes back to the file system, 32 MiB at a time.
async fn prune(connection: &mut SqliteConnection, before: Timestamp) -> Written<()> {
    sqlx::query(
        "DELETE FROM entries WHERE id IN
         (SELECT id FROM
            (SELECT id, since FROM entries WHERE state = 'done' AND due = 0 ORDER BY id LIMIT 5000)
          WHERE since < ?1)",
    )
    .bind(before.as_millisecond())
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM dropped WHERE at < ?1").bind(before.as_millisecond()).execute(&mut *connection).await?;
    sqlx::query("PRAGMA incremental_vacuum(8192)").execute(connection).await?;
    Ok(())
}

/// What a change of state needs to know of an entry.
struct Current {
    state: EntryState,
    notes: String,
    noted: i64,
    sent_noted: i64,
    task: Option<String>,
}

async fn current(connection: &mut SqliteConnection, id: EntryId) -> Written<Option<Current>> {
    let row =
        sqlx::query("SELECT state, since, due, reason, notes, noted, sent_noted, task FROM entries WHERE id = ?1")
            .bind(id.0)
            .fetch_optional(connection)
            .await?;
    row.map(|row| {
        Ok(Current {
            state: state(&row)?,
            notes: row.try_get("notes")?,
            noted: row.try_get("noted")?,
            sent_noted: row.try_get("sent_noted")?,
            task: row.try_get("task")?,
        })
    })
    .transpose()
}

async fn save(connection: &mut SqliteConnection, id: EntryId, state: &EntryState) -> Written<()> {
    let due = |at: &Option<Timestamp>| at.map_or(0, Timestamp::as_millisecond);
    let (name, since, due, reason) = match state {
        EntryState::Waiting { not_before, reason } => ("waiting", 0, due(not_before), reason.as_ref()),
        EntryState::Wire { since, look_at } => ("wire", since.as_millisecond(), due(look_at), None),
        EntryState::Done { at } => ("done", at.as_millisecond(), 0, None),
        EntryState::Parked { at, reason } => ("parked", at.as_millisecond(), 0, Some(reason)),
    };
    sqlx::query("UPDATE entries SET state = ?2, since = ?3, due = ?4, reason = ?5 WHERE id = ?1")
        .bind(id.0)
        .bind(name)
        .bind(since)
        .bind(due)
        .bind(reason.map(json).transpose()?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn totals(connection: &mut SqliteConnection) -> Written<Counts> {
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT state, n FROM totals").fetch_all(connection).await?;
    let of =
        |name: &str| rows.iter().find(|(state, _)| state == name).map_or(0, |(_, n)| u64::try_from(*n).unwrap_or(0));
    Ok(Counts { open: of("open"), waiting: of("waiting") + of("wire"), parked: of("parked"), done: of("done") })
}
