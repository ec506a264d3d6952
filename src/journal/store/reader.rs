//! What is read from the calls on disk, beside the writer and without waiting for it.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::columns::{entry, from_json, time};
use super::reading;
use crate::calls::record::{CallRecord, Extension, OpenCall};
use crate::journal::entry::{Entry, EntryId};
use crate::journal::error::JournalError;
use crate::journal::read::Filter;

/// Connections that read.
#[derive(Clone)]
pub(in crate::journal) struct Reader(pub(super) SqlitePool);

/// An entry as it was read, or the number of one that this version cannot read.
pub(in crate::journal) type Read = Result<Box<Entry>, EntryId>;

impl Reader {
    /// Calls that are not over. One that this version cannot read stays on disk and is named.
    pub async fn open_calls(&self) -> Result<Vec<OpenCall>, JournalError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT call, json FROM open_calls ORDER BY call")
            .fetch_all(&self.0)
            .await
            .map_err(|error| reading(&error))?;
        let mut calls = Vec::new();
        for (key, text) in rows {
            if let Ok(call) = from_json(&text) {
                calls.push(call);
            } else {
                tracing::error!(call.key = %key, "an open call on disk cannot be read");
            }
        }
        Ok(calls)
    }

    /// The agents that had a part in this call; `None` for an unknown one.
    pub async fn agents_of(&self, call: &str) -> Result<Option<Vec<Extension>>, JournalError> {
        let found: Option<(String, bool)> = sqlx::query_as(
            "SELECT json, FALSE FROM open_calls WHERE call = ?1
             UNION ALL SELECT record, TRUE FROM entries WHERE call = ?1 LIMIT 1",
        )
        .bind(call)
        .fetch_optional(&self.0)
        .await
        .map_err(|error| reading(&error))?;
        let Some((text, is_over)) = found else {
            return Ok(None);
        };
        let call = if is_over { from_json(&text).map(|record: CallRecord| record.call) } else { from_json(&text) };
        let call: OpenCall = call.map_err(|error| reading(&error))?;
        Ok(Some(call.agents.into_iter().map(|part| part.extension).collect()))
    }

    pub async fn entry(&self, id: EntryId) -> Result<Option<Entry>, JournalError> {
        let row = sqlx::query("SELECT * FROM entries WHERE id = ?1")
            .bind(id.0)
            .fetch_optional(&self.0)
            .await
            .map_err(|error| reading(&error))?;
        row.map(|row| entry(&row).map_err(|error| reading(&error))).transpose()
    }

    /// The latest first.
    pub async fn list(&self, filter: Filter, limit: u32) -> Result<Vec<Read>, JournalError> {
        let [a, b, c, d] = filter.states();
        // The inner question is answered by an index alone, however many rows there are.
        let rows = sqlx::query(
            "SELECT * FROM entries WHERE id IN
                (SELECT id FROM entries WHERE state IN (?1, ?2, ?3, ?4) ORDER BY id DESC LIMIT ?5)
             ORDER BY id DESC",
        )
        .bind(a)
        .bind(b)
        .bind(c)
        .bind(d)
        .bind(limit)
        .fetch_all(&self.0)
        .await
        .map_err(|error| reading(&error))?;
        Ok(rows.iter().map(read).collect())
    }

    /// The entries after this one, in the order in which they came.
    pub async fn after(&self, after: EntryId, limit: usize) -> Result<Vec<Read>, JournalError> {
        let rows = sqlx::query("SELECT * FROM entries WHERE id > ?1 ORDER BY id LIMIT ?2")
            .bind(after.0)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.0)
            .await
            .map_err(|error| reading(&error))?;
        Ok(rows.iter().map(read).collect())
    }

    /// Waiting entries whose time has come, in the order in which they came.
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Read>, JournalError> {
        self.ready("waiting", now, limit).await
    }

    /// Entries on the wire that are to be looked up.
    pub async fn unsure(&self, now: Timestamp, limit: usize) -> Result<Vec<Read>, JournalError> {
        self.ready("wire", now, limit).await
    }

    async fn ready(&self, state: &'static str, now: Timestamp, limit: usize) -> Result<Vec<Read>, JournalError> {
        let rows = sqlx::query("SELECT * FROM entries WHERE state = ?1 AND due <= ?2 ORDER BY due, id LIMIT ?3")
            .bind(state)
            .bind(now.as_millisecond())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.0)
            .await
            .map_err(|error| reading(&error))?;
        Ok(rows.iter().map(read).collect())
    }

    /// How many waiting entries are due (counted up to `limit`), and when the next thing is to be done after `now`.
    pub async fn ahead(&self, now: Timestamp, limit: usize) -> Result<Ahead, JournalError> {
        let (due, unsure, next): (i64, bool, Option<i64>) = sqlx::query_as(
            "SELECT
                (SELECT count(*) FROM
                    (SELECT 1 FROM entries WHERE state = 'waiting' AND due <= ?1 LIMIT ?2)),
                EXISTS (SELECT 1 FROM entries WHERE state = 'wire' AND due <= ?1),
                (SELECT min(next) FROM
                    (SELECT min(due) AS next FROM entries WHERE state = 'waiting' AND due > ?1
                     UNION ALL SELECT min(due) FROM entries WHERE state = 'wire' AND due > ?1))",
        )
        .bind(now.as_millisecond())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_one(&self.0)
        .await
        .map_err(|error| reading(&error))?;
        Ok(Ahead { due: usize::try_from(due).unwrap_or(0), unsure, next: next.and_then(|at| time(at).ok()) })
    }
}

/// What the sender has before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::journal) struct Ahead {
    pub due: usize,
    pub unsure: bool,
    pub next: Option<Timestamp>,
}

fn read(row: &SqliteRow) -> Read {
    // The error itself may quote what the entry says, so it is not told.
    entry(row).map(Box::new).map_err(|_| {
        let id = EntryId(row.try_get("id").unwrap_or_default());
        tracing::error!(entry = id.0, "an entry on disk cannot be read");
        id
    })
}
