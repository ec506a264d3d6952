//! Where a card leads: addresses in Salesforce, made by whoever knows how they are built.

use std::sync::Arc;

use super::config::UnknownCaller;
use crate::salesforce::RecordId;

type ToRecord = Arc<dyn Fn(&str, &RecordId) -> Option<String> + Send + Sync>;
type ToNumber = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Makes the links of pops and look-ups. There are none while the org's address is not known.
#[derive(Clone)]
pub struct Linker {
    record: ToRecord,
    search: ToNumber,
    new_lead: ToNumber,
}

impl Linker {
    /// `record` takes object and id; `search` and `new_lead` take a number in E.164.
    pub fn new(
        record: impl Fn(&str, &RecordId) -> Option<String> + Send + Sync + 'static,
        search: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        new_lead: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { record: Arc::new(record), search: Arc::new(search), new_lead: Arc::new(new_lead) }
    }

    #[must_use]
    pub fn record(&self, object: &str, id: &RecordId) -> Option<String> {
        (self.record)(object, id)
    }

    #[must_use]
    pub fn search(&self, number: &str) -> Option<String> {
        (self.search)(number)
    }

    #[must_use]
    pub fn new_lead(&self, number: &str) -> Option<String> {
        (self.new_lead)(number)
    }

    /// What is offered for a caller that nobody knows.
    #[must_use]
    pub fn unknown(&self, offer: UnknownCaller, number: &str) -> Option<String> {
        match offer {
            UnknownCaller::Search => self.search(number),
            UnknownCaller::NewLead => self.new_lead(number),
            UnknownCaller::None => None,
        }
    }
}
