//! The calls on disk: the only file that knows the database.
//!
//! One connection writes, a few read. A commit has reached the disk when it returns (`synchronous=FULL`), and after a failed
//! one nothing is assumed of what the disk holds.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row};

use super::Counts;
use super::entry::{Entry, EntryId, EntryState, Event, Reason, Repairs};
use super::error::JournalError;
use super::folder::Folder;
use super::note::{Note, Noted, merge};
use super::op::{Changed, Op, Outcome, Settled, Settlement};
use super::read::Filter;
use crate::calls::record::{CallRecord, Extension, OpenCall};
use crate::directory::answer::Answer;
use crate::salesforce::RecordId;

/// One script a layout, each leaves `user_version` one higher. Never change one that was released: add another.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE open_calls (
        call TEXT PRIMARY KEY, json TEXT NOT NULL, notes TEXT NOT NULL DEFAULT '[]'
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        call TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE,
        agent TEXT,
        record TEXT NOT NULL,
        answer TEXT,
        notes TEXT NOT NULL,
        noted INTEGER NOT NULL DEFAULT 0,
        sent_noted INTEGER NOT NULL DEFAULT -1,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'wire', 'done', 'parked')),
        since INTEGER NOT NULL DEFAULT 0,
        due INTEGER NOT NULL DEFAULT 0,
        reason TEXT,
        task TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        repairs TEXT NOT NULL DEFAULT '{}'
    ) STRICT;
    CREATE INDEX entries_by_call ON entries (call);
    CREATE INDEX entries_by_state ON entries (state, due, id);
    CREATE TABLE dropped (call TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE totals (state TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO totals VALUES ('open', 0), ('waiting', 0), ('wire', 0), ('done', 0), ('parked', 0);
    CREATE TRIGGER open_in AFTER INSERT ON open_calls BEGIN
        UPDATE totals SET n = n + 1 WHERE state = 'open'; END;
    CREATE TRIGGER open_out AFTER DELETE ON open_calls BEGIN
        UPDATE totals SET n = n - 1 WHERE state = 'open'; END;
    CREATE TRIGGER entry_in AFTER INSERT ON entries BEGIN
        UPDATE totals SET n = n + 1 WHERE state = NEW.state; END;
    CREATE TRIGGER entry_out AFTER DELETE ON entries BEGIN
        UPDATE totals SET n = n - 1 WHERE state = OLD.state; END;
    CREATE TRIGGER entry_moved AFTER UPDATE OF state ON entries WHEN OLD.state <> NEW.state BEGIN
        UPDATE totals SET n = n - 1 WHERE state = OLD.state;
        UPDATE totals SET n = n + 1 WHERE state = NEW.state; END;
    PRAGMA user_version = 1;
"];

/// Earlier ones can lose pages of a write-ahead log that is reset while another connection reads (sqlite.org/wal.html).
const OLDEST_LIBRARY: [u32; 3] = [3, 51, 3];

/// Only a backup tool or an operator's `sqlite3` ever holds the file besides us.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that read, so that a list for an operator does not hold up the sender.
const READERS: u32 = 2;

/// Why a commit failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No room: it may be tried again.
    Full,
    /// Nothing is known of what the disk holds.
    Broken(String),
}

/// The connection that writes, and the lock of the folder for as long as it does.
pub(super) struct Store {
    connection: SqliteConnection,
    _folder: Folder,
}

/// Connections that read.
#[derive(Clone)]
pub(super) struct Reader(SqlitePool);

impl Store {
    /// Takes the folder, opens the file, makes sure that it is sound, and brings it to the layout of this version.
    ///
    /// # Errors
    /// When the folder is taken, or the file is damaged, newer than this program or not to be opened.
    pub async fn open(state_dir: &Path) -> Result<(Self, Reader), JournalError> {
        let folder = Folder::take(state_dir)?;
        let path = folder.database()?;
        let failed = |error| opening(&path, &error);
        let options = options(&path);
        let mut connection = options.connect().await.map_err(failed)?;
        check_library(&mut connection).await.map_err(failed)??;
        check_file(&mut connection, &path).await?;
        migrate(&mut connection, &path).await?;
        let reader = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options.read_only(true));
        let store = Self { connection, _folder: folder };
        Ok((store, Reader(reader)))
    }

    /// All of these or none, on disk when it returns; with what came of each, and how many of each kind there are now.
    pub async fn commit(&mut self, ops: impl Iterator<Item = &Op>) -> Result<(Vec<Outcome>, Counts), Failure> {
        match self.transaction(ops).await {
            Ok(done) => Ok(done),
            Err(error) => {
                // The database may have undone it by itself already.
                let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
                Err(failure(&error))
            }
        }
    }

    pub async fn counts(&mut self) -> Result<Counts, JournalError> {
        totals(&mut self.connection).await.map_err(|e| reading(&e))
    }

    pub async fn close(self) {
        let _ = self.connection.close().await;
    }

    async fn transaction(&mut self, ops: impl Iterator<Item = &Op>) -> Result<(Vec<Outcome>, Counts), sqlx::Error> {
        let connection = &mut self.connection;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        let mut outcomes = Vec::new();
        for op in ops {
            outcomes.push(apply(connection, op).await?);
        }
        let counts = totals(connection).await?;
        sqlx::query("COMMIT").execute(&mut *connection).await?;
        Ok((outcomes, counts))
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging()
}

async fn check_library(connection: &mut SqliteConnection) -> Result<Result<(), JournalError>, sqlx::Error> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(connection).await?;
    let parts: Vec<u32> = found.split('.').filter_map(|part| part.parse().ok()).collect();
    if parts.as_slice() >= OLDEST_LIBRARY.as_slice() { Ok(Ok(())) } else { Ok(Err(JournalError::OldLibrary { found })) }
}

async fn check_file(connection: &mut SqliteConnection, path: &Path) -> Result<(), JournalError> {
    let said: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await
        .map_err(|error| opening(path, &error))?;
    if said == "ok" {
        return Ok(());
    }
    Err(JournalError::Damaged { path: path.to_owned(), detail: said })
}

async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), JournalError> {
    let failed = |error| opening(path, &error);
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(failed)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let Some(from) = usize::try_from(found).ok().filter(|_| found <= known) else {
        return Err(JournalError::Newer { path: path.to_owned(), found, known });
    };
    for script in MIGRATIONS.iter().skip(from) {
        let mut transaction = connection.begin().await.map_err(failed)?;
        sqlx::raw_sql(*script).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}

fn opening(path: &Path, error: &sqlx::Error) -> JournalError {
    let (path, detail) = (path.to_owned(), error.to_string());
    match code(error).map(primary) {
        Some(11 | 26) => JournalError::Damaged { path, detail },
        Some(_) | None => JournalError::Open { path, detail },
    }
}

fn reading(error: &sqlx::Error) -> JournalError {
    JournalError::Read(error.to_string())
}

/// The library's extended result code (sqlite.org/rescode.html).
fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

fn primary(code: i32) -> i32 {
    code & 0xff
}

/// `SQLITE_FULL`, and the other ways in which a full disk or a busy file shows: the shared memory that cannot grow, a lock.
fn failure(error: &sqlx::Error) -> Failure {
    const SHARED_MEMORY_SIZE: i32 = 0x0a | 0x13 << 8;
    match code(error) {
        Some(SHARED_MEMORY_SIZE) => Failure::Full,
        Some(code) if matches!(primary(code), 5 | 6 | 13) => Failure::Full,
        Some(_) | None => Failure::Broken(error.to_string()),
    }
}

type Written<T> = Result<T, sqlx::Error>;

async fn apply(connection: &mut SqliteConnection, op: &Op) -> Written<Outcome> {
    match op {
        Op::Keep { call, json } => keep(connection, call, json).await?,
        Op::Ended { call, record, answer } => ended(connection, call, record, answer.as_deref()).await?,
        Op::Forget { call } => forget(connection, call).await?,
        Op::Flush => {}
        Op::Note { call, note } => {
            return note_call(connection, call, note).await.map(Outcome::Noted);
        }
        Op::Retry(id) => return retry(connection, *id).await.map(Outcome::Changed),
        Op::Drop(id) => return drop_entry(connection, *id).await.map(Outcome::Changed),
        Op::Split { id, agents } => split(connection, *id, agents).await?,
        Op::Answered { id, answer } => answered(connection, *id, answer).await?,
        Op::PutOnWire { entries, at } => {
            return put_on_wire(connection, entries, *at).await.map(Outcome::OnWire);
        }
        Op::Settle(all) => {
            for settlement in all {
                settle(connection, settlement).await?;
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
    .bind(json)
    .execute(connection)
    .await?;
    Ok(())
}

async fn ended(connection: &mut SqliteConnection, call: &str, record: &str, answer: Option<&str>) -> Written<()> {
    sqlx::query(
        "INSERT INTO entries (call, key, record, answer, notes, state)
         SELECT ?1, ?1, ?2, ?3, COALESCE((SELECT notes FROM open_calls WHERE call = ?1), '[]'), 'waiting'
         WHERE NOT EXISTS (SELECT 1 FROM entries WHERE call = ?1)
           AND NOT EXISTS (SELECT 1 FROM dropped WHERE call = ?1)
         ON CONFLICT (key) DO NOTHING",
    )
    .bind(call)
    .bind(record)
    .bind(answer)
    .execute(&mut *connection)
    .await?;
    forget(connection, call).await
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
async fn split(connection: &mut SqliteConnection, id: EntryId, agents: &[(String, Extension)]) -> Written<()> {
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
    sqlx::query("UPDATE entries SET answer = ?2 WHERE id = ?1").bind(id.0).bind(answer).execute(connection).await?;
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
            (Event::Logged { at: *at, noted }, Some(task.to_string()))
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

async fn resume(connection: &mut SqliteConnection, at: Timestamp) -> Written<()> {
    sqlx::query("UPDATE entries SET due = 0 WHERE state IN ('waiting', 'wire') AND due <> 0")
        .execute(&mut *connection)
        .await?;
    // A clock that went back must not stretch the time after which an entry is sent again.
    sqlx::query("UPDATE entries SET since = ?1 WHERE state = 'wire' AND since > ?1")
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

async fn prune(connection: &mut SqliteConnection, before: Timestamp) -> Written<()> {
    sqlx::query(
        "DELETE FROM entries WHERE id IN
         (SELECT id FROM entries WHERE state = 'done' AND since < ?1 LIMIT 1000)",
    )
    .bind(before.as_millisecond())
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM dropped WHERE at < ?1").bind(before.as_millisecond()).execute(connection).await?;
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

fn state(row: &SqliteRow) -> Written<EntryState> {
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

async fn totals(connection: &mut SqliteConnection) -> Written<Counts> {
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT state, n FROM totals").fetch_all(connection).await?;
    let of =
        |name: &str| rows.iter().find(|(state, _)| state == name).map_or(0, |(_, n)| u64::try_from(*n).unwrap_or(0));
    Ok(Counts { open: of("open"), waiting: of("waiting") + of("wire"), parked: of("parked"), done: of("done") })
}

fn time(millisecond: i64) -> Written<Timestamp> {
    Timestamp::from_millisecond(millisecond).map_err(decode)
}

fn json(value: &impl Serialize) -> Written<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn from_json<T: DeserializeOwned>(text: &str) -> Written<T> {
    serde_json::from_str(text).map_err(decode)
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// An entry as it was read, or the number of one that this version cannot read.
pub(super) type Read = Result<Box<Entry>, EntryId>;

impl Reader {
    /// Calls that are not over. One that this version cannot read stays on disk and is named.
    pub async fn open_calls(&self) -> Result<Vec<OpenCall>, JournalError> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT call, json FROM open_calls ORDER BY call")
            .fetch_all(&self.0)
            .await
            .map_err(|error| reading(&error))?;
        let mut calls = Vec::new();
        for (key, text) in rows {
            if let Ok(call) = serde_json::from_str(&text) {
                calls.push(call);
            } else {
                tracing::error!(call.key = %key, "an open call on disk cannot be read");
            }
        }
        Ok(calls)
    }

    /// The agents that had a part in this call; `None` for an unknown one.
    pub async fn agents_of(&self, call: &str) -> Result<Option<Vec<Extension>>, JournalError> {
        let text: Option<String> = sqlx::query_scalar(
            "SELECT json FROM open_calls WHERE call = ?1
             UNION ALL SELECT record ->> '$.call' FROM entries WHERE call = ?1 LIMIT 1",
        )
        .bind(call)
        .fetch_optional(&self.0)
        .await
        .map_err(|error| reading(&error))?;
        let call: Option<OpenCall> = text.as_deref().map(from_json).transpose().map_err(|error| reading(&error))?;
        Ok(call.map(|call| call.agents.into_iter().map(|part| part.extension).collect()))
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
        let rows = sqlx::query("SELECT * FROM entries WHERE state IN (?1, ?2, ?3, ?4) ORDER BY id DESC LIMIT ?5")
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
pub(super) struct Ahead {
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

fn entry(row: &SqliteRow) -> Written<Entry> {
    let text = |column| row.try_get::<Option<String>, _>(column);
    let (record, notes, repairs): (String, String, String) =
        (row.try_get("record")?, row.try_get("notes")?, row.try_get("repairs")?);
    let record: CallRecord = from_json(&record)?;
    let answer: Option<Answer> = text("answer")?.as_deref().map(from_json).transpose()?;
    let task = text("task")?.map(|id| RecordId::parse(&id).map_err(decode));
    let repairs: Repairs = from_json(&repairs)?;
    Ok(Entry {
        id: EntryId(row.try_get("id")?),
        key: row.try_get("key")?,
        call: record.call.key.clone(),
        agent: text("agent")?.map(Extension),
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
