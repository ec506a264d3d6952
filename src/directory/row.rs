//! One record of the org as the index takes it in, and what can happen to it.

use crate::salesforce::RecordId;

/// A record with at least one phone field filled, its texts as they stand in the org.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// API name: `Contact`, `Lead`, `Account` or a custom object.
    pub object: String,
    pub id: RecordId,
    pub name: String,
    /// Name of the account, or the lead's company.
    pub account: Option<String>,
    pub account_id: Option<RecordId>,
    pub owner_id: Option<RecordId>,
    /// Of a Person Account: its contact.
    pub person_contact_id: Option<RecordId>,
    /// Each phone field that is filled: API name, and what somebody typed into it.
    pub phones: Vec<(String, String)>,
}

/// What became of a record.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new, or is now like this. One without phones is only taken out.
    Put(Row),
    /// It was deleted, merged away, converted, or no longer meets the object's condition.
    Gone(RecordId),
    /// The account is now called this; its contacts are shown with that name.
    Renamed { account: RecordId, name: String },
}

impl std::fmt::Debug for Row {
    /// Without names and numbers, so that it may stand in a log line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} with {} numbers", self.object, self.id, self.phones.len())
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put(row) => write!(f, "put {row:?}"),
            Self::Gone(id) => write!(f, "gone {id}"),
            Self::Renamed { account, .. } => write!(f, "renamed {account}"),
        }
    }
}
