//! The calls on disk: the only place that knows the database.
//!
//! One connection writes, a few read. A commit has reached the disk when it returns (`synchronous=FULL`), and after a failed
//! one nothing is assumed of what the disk holds.

mod change;
mod columns;
#[cfg(test)]
mod damage;
mod ended;
mod layout;
#[cfg(test)]
mod layouts;
mod reader;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use super::Counts;
use super::error::JournalError;
use super::folder::Folder;
use super::op::{Op, Outcome};
use change::{apply_all, totals};
use layout::{MIGRATIONS, check_file, check_library, make_shrinkable, migrate};
pub(super) use reader::{Ahead, Read, Reader};

type Written<T> = Result<T, sqlx::Error>;

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
    path: PathBuf,
    _folder: Folder,
}

impl Store {
    /// Opens the file, makes sure that it is sound, and brings it to the layout of this version.
    ///
    /// # Errors
    /// When the file is damaged, newer than this program or not to be opened.
    pub async fn open(folder: Folder) -> Result<(Self, Reader), JournalError> {
        let path = folder.database()?;
        let is_new = std::fs::metadata(&path).is_ok_and(|file| file.len() == 0);
        let failed = |error| opening(&path, &error);
        let options = options(&path);
        let creating = options.clone().auto_vacuum(SqliteAutoVacuum::Incremental);
        let mut connection = if is_new { creating } else { options.clone() }.connect().await.map_err(failed)?;
        check_library(&mut connection).await.map_err(failed)??;
        check_file(&mut connection, &path).await?;
        migrate(&mut connection, &path, &MIGRATIONS).await?;
        make_shrinkable(&mut connection).await;
        let reader = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options.read_only(true));
        let store = Self { connection, path, _folder: folder };
        Ok((store, Reader(reader)))
    }

    /// The number of the last change that was written ahead and is here.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn through(&mut self) -> Result<u64, JournalError> {
        let through: i64 = sqlx::query_scalar("SELECT through FROM ahead")
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| reading(&error))?;
        Ok(through.unsigned_abs())
    }

    /// Takes in what was written ahead and was not here yet.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub async fn catch_up(&mut self, ops: &[Op], through: u64) -> Result<(), JournalError> {
        if ops.is_empty() {
            return Ok(());
        }
        match self.commit(ops.iter(), through).await {
            Ok(_) => Ok(()),
            Err(Failure::Full) => Err(JournalError::NoRoom { path: self.path.clone() }),
            Err(Failure::Broken(detail)) => Err(JournalError::Open { path: self.path.clone(), detail }),
        }
    }

    /// All of these or none, on disk when it returns; with what came of each, and how many of each kind there are now.
    /// `through`: the number of the last change that is now here.
    pub async fn commit(
        &mut self,
        ops: impl Iterator<Item = &Op>,
        through: u64,
    ) -> Result<(Vec<Outcome>, Counts), Failure> {
        match self.transaction(ops, through).await {
            Ok(done) => Ok(done),
            Err(error) => {
                // The database may have undone it by itself already.
                let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
                let failure = failure(&error);
                if let Failure::Full = failure {
                    // What the log holds and the file has room for need not be there twice.
                    let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await;
                }
                Err(failure)
            }
        }
    }

    pub async fn counts(&mut self) -> Result<Counts, JournalError> {
        totals(&mut self.connection).await.map_err(|e| reading(&e))
    }

    pub async fn close(self) {
        let _ = self.connection.close().await;
    }

    async fn transaction(
        &mut self,
        ops: impl Iterator<Item = &Op>,
        through: u64,
    ) -> Result<(Vec<Outcome>, Counts), sqlx::Error> {
        let connection = &mut self.connection;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        let outcomes = apply_all(connection, ops).await?;
        sqlx::query("UPDATE ahead SET through = ?1 WHERE through < ?1")
            .bind(i64::try_from(through).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
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
        // Pages of 4 KiB: a small disk is not filled by the log of a few calls.
        .pragma("wal_autocheckpoint", "256")
        .disable_statement_logging()
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
