//! Where a card leads: addresses in Salesforce, made by whoever knows how they are built.

use std::sync::Arc;

use super::config::UnknownCaller;
use crate::salesforce::RecordId;

type ToRecord = Arc<dyn Fn(&str, &RecordId) -> String + Send + Sync>;
type ToNumber = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Makes the links of pops and look-ups.
#[derive(Clone)]
pub struct Linker {
    record: ToRecord,
    search: ToNumber,
    new_lead: ToNumber,
}

impl Linker {
    /// `record` takes object and id; `search` and `new_lead` take a number in E.164.
    pub fn new(
        record: impl Fn(&str, &RecordId) -> String + Send + Sync + 'static,
        search: impl Fn(&str) -> String + Send + Sync + 'static,
        new_lead: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { record: Arc::new(record), search: Arc::new(search), new_lead: Arc::new(new_lead) }
    }

    pub fn record(&self, object: &str, id: &RecordId) -> String {
        (self.record)(object, id)
    }

    pub fn search(&self, number: &str) -> String {
        (self.search)(number)
    }

    pub fn new_lead(&self, number: &str) -> String {
        (self.new_lead)(number)
    }

    /// What is offered for a caller that nobody knows.
    pub fn unknown(&self, offer: UnknownCaller, number: &str) -> Option<String> {
        match offer {
            UnknownCaller::Search => Some(self.search(number)),
            UnknownCaller::NewLead => Some(self.new_lead(number)),
            UnknownCaller::None => None,
        }
    }
}
