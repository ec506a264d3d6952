//! Finished calls, many in one statement: the way to the database and back costs more than a row does.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::Written;
use crate::journal::seal::seal;

/// The most rows of a statement. Others have a half, a quarter and so on, so that few statements are to be kept prepared.
const MOST: usize = 64;

/// A call that is over, in JSON.
pub(super) struct Ended<'a> {
    pub call: &'a str,
    pub record: &'a str,
    pub answer: Option<&'a str>,
}

/// Makes entries of those that are none yet, with what agents said of them while they were open.
pub(super) async fn insert(connection: &mut SqliteConnection, mut calls: &[Ended<'_>]) -> Written<()> {
    while let Some((some, rest)) = calls.len().checked_ilog2().and_then(|n| calls.split_at_checked(MOST.min(1 << n))) {
        enter(connection, some).await?;
        close(connection, some).await?;
        calls = rest;
    }
    Ok(())
}

async fn enter(connection: &mut SqliteConnection, calls: &[Ended<'_>]) -> Written<()> {
    let rows = vec!["(?, ?, ?)"; calls.len()].join(", ");
    let text = format!(
        "WITH over (call, record, answer) AS (VALUES {rows})
         INSERT INTO entries (call, key, record, answer, notes, state)
         SELECT call, call, record, answer,
            COALESCE((SELECT notes FROM open_calls WHERE open_calls.call = over.call), '[]'), 'waiting'
         FROM over
         WHERE NOT EXISTS (SELECT 1 FROM entries WHERE entries.call = over.call)
           AND NOT EXISTS (SELECT 1 FROM dropped WHERE dropped.call = over.call)
         ON CONFLICT (key) DO NOTHING"
    );
    let statement = sqlx::query(AssertSqlSafe(text));
    let bound = calls
        .iter()
        .fold(statement, |statement, one| statement.bind(one.call).bind(seal(one.record)).bind(one.answer.map(seal)));
    bound.execute(connection).await?;
    Ok(())
}

async fn close(connection: &mut SqliteConnection, calls: &[Ended<'_>]) -> Written<()> {
    let marks = vec!["?"; calls.len()].join(", ");
    let statement = sqlx::query(AssertSqlSafe(format!("DELETE FROM open_calls WHERE call IN ({marks})")));
    calls.iter().fold(statement, |statement, one| statement.bind(one.call)).execute(connection).await?;
    Ok(())
}
