//! How the tables are laid out, and whether the file and the library can be trusted with them.

use std::path::Path;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::{Written, opening};
use crate::journal::error::JournalError;

/// One script a layout, each leaves `user_version` one higher. Never change one that was released: add another.
pub(super) const MIGRATIONS: [&str; 2] = [
    "
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
",
    "
    CREATE TABLE ahead (through INTEGER NOT NULL) STRICT;
    INSERT INTO ahead VALUES (0);
    PRAGMA user_version = 2;
",
];

/// Earlier ones can lose pages of a write-ahead log that is reset while another connection reads (sqlite.org/wal.html).
const OLDEST_LIBRARY: [u32; 3] = [3, 51, 3];

pub(super) async fn check_library(connection: &mut SqliteConnection) -> Result<Result<(), JournalError>, sqlx::Error> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(connection).await?;
    let parts: Vec<u32> = found.split('.').filter_map(|part| part.parse().ok()).collect();
    if parts.as_slice() >= OLDEST_LIBRARY.as_slice() { Ok(Ok(())) } else { Ok(Err(JournalError::OldLibrary { found })) }
}

pub(super) async fn check_file(connection: &mut SqliteConnection, path: &Path) -> Result<(), JournalError> {
    let said: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await
        .map_err(|error| opening(path, &error))?;
    if said == "ok" {
        return Ok(());
    }
    Err(JournalError::Damaged { path: path.to_owned(), detail: said })
}

/// All that is missing, or nothing: a step that fails leaves the file as it was.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    path: &Path,
    scripts: &[&'static str],
) -> Result<(), JournalError> {
    let found: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| opening(path, &error))?;
    let known = i64::try_from(scripts.len()).unwrap_or(i64::MAX);
    let missing = usize::try_from(found).ok().and_then(|from| scripts.get(from..));
    let Some(missing) = missing else {
        return Err(JournalError::Newer { path: path.to_owned(), found, known });
    };
    if missing.is_empty() {
        return Ok(());
    }
    run(connection, missing).await.map_err(|error| JournalError::Migration {
        path: path.to_owned(),
        from: found,
        to: known,
        detail: error.to_string(),
    })
}

async fn run(connection: &mut SqliteConnection, scripts: &[&'static str]) -> Written<()> {
    let mut transaction = connection.begin().await?;
    for script in scripts {
        sqlx::raw_sql(*script).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// A file of the first releases is written anew, once, so that it can give room back. It works as well without.
pub(super) async fn make_shrinkable(connection: &mut SqliteConnection) {
    let rewritten = async {
        let mode: i64 = sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&mut *connection).await?;
        if mode == 0 {
            tracing::info!("the journal is written anew, so that its file can become smaller");
            sqlx::raw_sql("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").execute(&mut *connection).await?;
        }
        Written::Ok(())
    };
    if let Err(error) = rewritten.await {
        tracing::warn!(%error, "the journal could not be written anew; it is tried again at the next start");
    }
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;

    #[tokio::test]
    async fn a_change_of_the_layout_that_fails_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal/layout-1/journal.db"), &path)
            .unwrap();
        let before = std::fs::read(&path).unwrap();
        let mut scripts = MIGRATIONS.to_vec();
        scripts.push("CREATE TABLE more (n INTEGER); UPDATE entries SET record = ''; INSERT INTO nowhere VALUES (1)");
        let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        let failed = migrate(&mut connection, &path, &scripts).await;
        let Err(error @ JournalError::Migration { from: 1, to: 3, .. }) = failed else { panic!("{failed:?}") };
        assert!(error.to_string().contains("it is as it was"), "{error}");
        connection.close().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
