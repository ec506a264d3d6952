//! What a batch's Tasks are related to by `log.related_to`: one question for all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Sender, Trouble};
use crate::journal::config::RelatedTo;
use crate::journal::entry::{Entry, EntryId};
use crate::journal::link::Party;
use crate::journal::task::{Part, party};
use crate::salesforce::{Error, Found, RecordId, Retry, Soql};

/// The most rows of one answer that are read; the newest come first.
const ROWS: u32 = 2_000;

/// Newest open records, by the contact or the account that they belong to.
type Open = BTreeMap<RecordId, RecordId>;

impl Sender {
    /// By entry. What the integration user may not read is done without.
    pub(super) async fn related(&mut self, batch: &[Entry]) -> Result<BTreeMap<EntryId, RecordId>, Trouble> {
        let rule = self.settings.config.related_to;
        if rule == RelatedTo::None {
            return Ok(BTreeMap::new());
        }
        let chosen = |entry: &&Entry| entry.task.is_none() || entry.notes.iter().any(|note| note.record_id.is_some());
        let parties: Vec<(EntryId, Party)> =
            batch.iter().filter(chosen).filter_map(|entry| Some((entry.id, party(&Part::from(entry))?))).collect();
        let (cases, opportunities) = self.open_records(rule, &parties).await?;
        let of = |open: &Open, owner: &Option<RecordId>| owner.as_ref().and_then(|owner| open.get(owner).cloned());
        let related = parties.into_iter().filter_map(|(id, party)| {
            let record = of(&cases, &party.contact).or_else(|| of(&opportunities, &party.account)).or(party.account)?;
            Some((id, record))
        });
        Ok(related.collect())
    }

    async fn open_records(&mut self, rule: RelatedTo, parties: &[(EntryId, Party)]) -> Result<(Open, Open), Trouble> {
        let ids = |wanted: bool, of: fn(&Party) -> Option<&RecordId>| -> BTreeSet<&RecordId> {
            parties.iter().filter_map(|(_, party)| of(party)).filter(|_| wanted).collect()
        };
        let contacts = ids(rule.wants_cases(), |party| party.contact.as_ref());
        let accounts = ids(rule.wants_opportunities(), |party| party.account.as_ref());
        let mut asked = Vec::new();
        if !contacts.is_empty() {
            asked.push(("Case", "ContactId", contacts));
        }
        if !accounts.is_empty() {
            asked.push(("Opportunity", "AccountId", accounts));
        }
        if asked.is_empty() || self.tasks_only() {
            return Ok((Open::new(), Open::new()));
        }
        let queries: Result<Vec<Soql>, Error> =
            asked.iter().map(|(object, field, ids)| open_of(object, field, ids)).collect();
        let queries = queries?;
        let answers = match self.or_stop(self.client.query_together(&queries)).await? {
            Ok(answers) => answers.pages,
            Err(error) if error.retry() == Retry::Never => {
                self.tell_once(&error);
                return Ok((Open::new(), Open::new()));
            }
            Err(error) => return Err(error.into()),
        };
        let (mut cases, mut opportunities) = (Open::new(), Open::new());
        for (((object, field, _), page), query) in asked.into_iter().zip(answers).zip(&queries) {
            let rows = match page {
                Ok(page) => self.or_stop(self.client.all_rows(query, page)).await?,
                Err(error) => Err(error),
            };
            match rows {
                Ok(rows) if object == "Case" => cases = newest(&rows, field),
                Ok(rows) => opportunities = newest(&rows, field),
                Err(error) => self.tell_once(&error),
            }
        }
        Ok((cases, opportunities))
    }

    fn tell_once(&mut self, error: &Error) {
        if self.told.insert(format!("related_to: {error}")) {
            tracing::warn!(
                %error,
                "what log.related_to asks for could not be read; Tasks are written without it, see the user's access to \
                 cases and opportunities"
            );
        }
    }
}

fn open_of(object: &str, field: &str, ids: &BTreeSet<&RecordId>) -> Result<Soql, Error> {
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    let query = Soql::select(object, &["Id", field])?.is("IsClosed", false)?.any_of(field, &ids)?;
    Ok(query.order_by(&["CreatedDate DESC"])?.limit(ROWS))
}

fn newest(rows: &[Found], field: &str) -> Open {
    let mut open = Open::new();
    for row in rows {
        if let Some(owner) = row.get(field).and_then(|id| RecordId::parse(id).ok()) {
            open.entry(owner).or_insert_with(|| row.id.clone());
        }
    }
    open
}
