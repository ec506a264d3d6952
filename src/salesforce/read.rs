//! What is read from the org: searches, queries, users, the closed status, the fields of an object.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::client::{Call, Client, Place};
use super::composite::Rows;
use super::error::Error;
use super::found::{self, Found, Page};
use super::id::RecordId;
use super::query::{self, QueryError, Soql, Sosl};
use super::refusal;

/// The most pages of one query that are followed: 200,000 rows.
const MAX_PAGES: usize = 100;
/// The most bytes that the keys of one query may take in its address, which Salesforce cuts off at 16,384: 200 keys of
/// calls fit.
const MAX_KEYS: usize = 15_000;

/// The most records that Salesforce is asked about in one question of who may read them.
pub const MAX_ACCESS_IDS: usize = 200;

/// A user of the org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: RecordId,
    pub username: String,
    pub extension: Option<String>,
    /// IANA name, `Europe/Berlin`.
    pub time_zone: Option<String>,
    pub active: bool,
}

/// A Task that carries a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTask {
    pub id: RecordId,
    /// Somebody deleted it: it is in the recycle bin.
    pub deleted: bool,
}

/// A field that the bridge's user can see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Field {
    pub name: String,
    /// `phone`, `string`, `reference` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether records go by this field.
    #[serde(rename = "nameField", default)]
    pub is_name: bool,
}

#[derive(Deserialize)]
struct Limits {
    #[serde(rename = "DailyApiRequests")]
    requests: Limit,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Limit {
    max: u64,
    remaining: u64,
}

/// What is read of a user: all that is of use, what is left where extensions are hidden, and the least.
const USER_FIELDS: [&[&str]; 3] = [
    &["Id", "Username", "Extension", "TimeZoneSidKey", "IsActive"],
    &["Id", "Username", "TimeZoneSidKey", "IsActive"],
    &["Id", "Username", "IsActive"],
];

/// Read by itself: these rows have no id of their own.
#[derive(Deserialize)]
struct AccessPage {
    records: Vec<Access>,
    #[serde(rename = "nextRecordsUrl")]
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Access {
    record_id: RecordId,
    has_read_access: bool,
}

#[derive(Deserialize)]
struct Description {
    fields: Vec<Field>,
}

impl Client {
    /// One call of the org's search.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search(&self, search: &Sosl) -> Result<Vec<Found>, Error> {
        let mut call = Call::get("search");
        call.question = Some(search.text()?);
        found::search_records(&self.call(call).await?)
    }

    /// All rows of a query, page by page.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn query(&self, query: &Soql) -> Result<Vec<Found>, Error> {
        let mut call = Call::get(if query.all_rows { "queryAll" } else { "query" });
        call.question = Some(query.text());
        let mut rows = Vec::new();
        for _page in 0..MAX_PAGES {
            let page = Page::read(&self.call(call).await?)?;
            let next = page.next();
            rows.extend(page.records()?);
            let Some(path) = next else {
                return Ok(rows);
            };
            call = Call::get("");
            call.place = Place::Given(path);
        }
        Err(Error::TooLarge { limit: "the pages of one query that are followed" })
    }

    /// The rows of a query of which a first page is there: an org may keep its pages short.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn all_rows(&self, query: &Soql, first: Rows) -> Result<Vec<Found>, Error> {
        if first.done { Ok(first.rows) } else { self.query(query).await }
    }

    /// The Tasks that carry these keys, archived and deleted ones too: a Task that someone has deleted was written.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find_tasks(&self, field: &str, keys: &[String]) -> Result<BTreeMap<String, FoundTask>, Error> {
        let mut tasks = BTreeMap::new();
        for chunk in chunks(keys) {
            let query = Soql::select("Task", &["Id", field, "IsDeleted", "CreatedDate"])?
                .any_of(field, chunk)?
                .including_deleted();
            let rows = self.query(&query).await?;
            for key in chunk {
                if let Some(row) = oldest(&rows, field, key) {
                    tasks.insert(key.clone(), FoundTask { id: row.id.clone(), deleted: row.is_true("IsDeleted") });
                }
            }
        }
        Ok(tasks)
    }

    /// Those of these Tasks that there are, archived and deleted ones too.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tasks_by_id(&self, ids: &[RecordId]) -> Result<BTreeMap<RecordId, FoundTask>, Error> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut tasks = BTreeMap::new();
        for chunk in chunks(&ids) {
            let query = Soql::select("Task", &["Id", "IsDeleted"])?.any_of("Id", chunk)?.including_deleted();
            let rows = self.query(&query).await?;
            tasks.extend(rows.into_iter().map(|row| {
                let deleted = row.is_true("IsDeleted");
                (row.id.clone(), FoundTask { id: row.id, deleted })
            }));
        }
        Ok(tasks)
    }

    /// Those of these records that the user may read; at most [`MAX_ACCESS_IDS`]. What the bridge's own user may not read is not among
    /// them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn readable(&self, user: &RecordId, records: &[RecordId]) -> Result<BTreeSet<RecordId>, Error> {
        let ids: Vec<&str> = records.iter().map(RecordId::as_str).collect();
        let query = Soql::select("UserRecordAccess", &["RecordId", "HasReadAccess"])?
            .equals("UserId", user.as_str())?
            .any_of("RecordId", &ids)?;
        let mut call = Call::get("query");
        call.question = Some(query.text());
        let mut readable = BTreeSet::new();
        for _page in 0..MAX_PAGES {
            let page: AccessPage = refusal::parse(&self.call(call).await?, "rights to records were expected")?;
            readable.extend(page.records.into_iter().filter(|row| row.has_read_access).map(|row| row.record_id));
            let Some(path) = page.next else {
                return Ok(readable);
            };
            call = Call::get("");
            call.place = Place::Given(path);
        }
        Err(Error::TooLarge { limit: "the pages of rights to records that are followed" })
    }

    /// The active users.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        self.users_where(|query| query.is("IsActive", true)).await
    }

    /// The users who have left and have one of these values in a field.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn inactive_users(&self, field: &str, values: &[String]) -> Result<Vec<User>, Error> {
        self.users_where(|query| query.is("IsActive", false)?.any_of(field, values)).await
    }

    /// With what of them the bridge's own user may read.
    async fn users_where(&self, which: impl Fn(Soql) -> Result<Soql, QueryError>) -> Result<Vec<User>, Error> {
        let mut refused = None;
        for fields in USER_FIELDS {
            match self.query(&which(Soql::select("User", fields)?)?).await {
                Ok(rows) => return Ok(rows.into_iter().map(user).collect()),
                Err(error) if error.code() == Some("INVALID_FIELD") => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(Error::Lacking("no field of users may be read")))
    }

    /// The status of a Task that is done: the org's default among the closed ones, else the first.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Lacking`] when no status is closed.
    pub async fn closed_task_status(&self) -> Result<String, Error> {
        let fields = ["Id", "MasterLabel", "ApiName", "IsClosed", "IsDefault"];
        let rows = self.query(&Soql::select("TaskStatus", &fields)?).await?;
        let mut closed = rows.iter().filter(|row| row.is_true("IsClosed"));
        let first = closed.clone().next();
        closed
            .find(|row| row.is_true("IsDefault"))
            .or(first)
            .and_then(|row| row.get("ApiName").or_else(|| row.get("MasterLabel")))
            .map(str::to_owned)
            .ok_or(Error::Lacking(
                "the org has no Task status that counts as closed; add one in Setup, Object Manager, Task, Status",
            ))
    }

    /// The org's API calls of the last 24 hours: used, and allowed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn limits(&self) -> Result<(u64, u64), Error> {
        let body = self.call(Call::get("limits")).await?;
        let limits: Limits = refusal::parse(&body, "the limits of the org were expected")?;
        let Limit { max, remaining } = limits.requests;
        Ok((max.saturating_sub(remaining), max))
    }

    /// The Username of a user.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn username(&self, user: &RecordId) -> Result<Option<String>, Error> {
        let query = Soql::select("User", &["Id", "Username"])?.any_of("Id", &[user.as_str().to_owned()])?;
        let rows = self.query(&query).await?;
        Ok(rows.first().and_then(|row| row.get("Username")).map(str::to_owned))
    }

    /// The fields of an object that the bridge's user can see.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn describe(&self, object: &str) -> Result<Vec<Field>, Error> {
        let object = query::name(object)?;
        let body = self.call(Call::get(format!("sobjects/{object}/describe"))).await?;
        let description: Description = refusal::parse(&body, "a description of an object was expected")?;
        Ok(description.fields)
    }
}

fn user(row: Found) -> User {
    let text = |field| row.get(field).map(str::to_owned);
    User {
        username: text("Username").unwrap_or_default(),
        extension: text("Extension"),
        time_zone: text("TimeZoneSidKey"),
        active: row.is_true("IsActive"),
        id: row.id,
    }
}

/// The Task of a key: one that still is there before a deleted one, the first made before later ones.
/// Salesforce compares without regard to case, and keys differ by it.
fn oldest<'a>(rows: &'a [Found], field: &str, key: &str) -> Option<&'a Found> {
    rows.iter()
        .filter(|row| value(row, field) == Some(key))
        .min_by_key(|row| (row.is_true("IsDeleted"), row.get("CreatedDate"), &row.id))
}

/// A field by its name in whatever case the settings have it.
fn value<'a>(row: &'a Found, field: &str) -> Option<&'a str> {
    row.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, value)| value.as_str())
}

/// Keys in runs whose query fits into an address, where quotes and commas take three bytes, and so does what is escaped.
fn chunks(keys: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = keys;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|key| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
            bytes += key.bytes().map(|byte| if plain(byte) { 1 } else { 3 }).sum::<usize>() + 9;
            bytes <= MAX_KEYS
        });
        let count = fitting.count().max(1).min(rest.len());
        let (chunk, tail) = rest.split_at_checked(count)?;
        rest = tail;
        (!chunk.is_empty()).then_some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_in_runs_that_fit_and_none_is_lost() {
        let keys: Vec<String> = (0..500).map(|n| format!("hq-pbx1-{n:056}")).collect();
        let runs: Vec<_> = chunks(&keys).collect();
        assert_eq!(runs.concat(), keys);
        assert_eq!(runs.len(), 3, "200 of the longest keys are one query");
        let escaped: Vec<String> = (0..200).map(|n| format!("{n:020}'ü'")).collect();
        assert!(chunks(&escaped).all(|run| run.len() * (20 + 4 * 3 + 9) <= MAX_KEYS));
        assert_eq!(chunks(&[]).count(), 0);
    }
}
