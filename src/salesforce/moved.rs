//! Where a record has gone: a lead to the contact it became, a merged record to the one that stayed.

use std::collections::BTreeMap;

use super::client::Client;
use super::error::Error;
use super::found::Found;
use super::id::RecordId;
use super::query::Soql;

/// The objects whose records are converted or merged, by the beginning of their ids, and where that is written down.
const OBJECTS: [(&str, &str, &[&str]); 3] = [
    ("00Q", "Lead", &["Id", "IsDeleted", "IsConverted", "ConvertedContactId", "MasterRecordId"]),
    ("003", "Contact", &["Id", "IsDeleted", "MasterRecordId"]),
    ("001", "Account", &["Id", "IsDeleted", "MasterRecordId"]),
];

impl Client {
    /// Of those that were converted or merged, the record that now stands for them. One API call, where the pages are not small.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn moved(&self, ids: &[RecordId]) -> Result<BTreeMap<RecordId, RecordId>, Error> {
        let mut queries = Vec::new();
        for (prefix, object, fields) in OBJECTS {
            let own: Vec<&str> = ids.iter().map(RecordId::as_str).filter(|id| id.starts_with(prefix)).collect();
            if !own.is_empty() {
                queries.push(Soql::select(object, fields)?.any_of("Id", &own)?.including_deleted());
            }
        }
        let mut moved = BTreeMap::new();
        for (query, page) in queries.iter().zip(self.query_together(&queries).await?.pages) {
            let rows = self.all_rows(query, page?).await?;
            moved.extend(rows.iter().filter_map(|row| Some((row.id.clone(), now_at(row)?))));
        }
        Ok(moved)
    }
}

fn now_at(row: &Found) -> Option<RecordId> {
    let field = if row.is_true("IsConverted") { "ConvertedContactId" } else { "MasterRecordId" };
    row.get(field).and_then(|id| RecordId::parse(id).ok()).filter(|id| *id != row.id)
}
