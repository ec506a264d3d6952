//! The answer to "whose number is this?": the candidates, best first, and where they come from.

use serde::{Deserialize, Serialize};

use crate::phone::PhoneNumber;
use crate::salesforce::RecordId;

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub number: PhoneNumber,
    pub source: Source,
    /// Best first.
    pub matches: Vec<Match>,
    /// False when the deadline passed or Salesforce could not be asked: a later look-up may know more.
    pub complete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Index,
    Live,
    None,
}

impl Source {
    /// `index`, `live` or `none`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Live => "live",
            Self::None => "none",
        }
    }
}

/// How sure a match is. The order is that of the ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exactness {
    /// The same E.164 number.
    Exact,
    /// The same national digits where the country of the stored number is unknown.
    Possible,
}

/// A record whose stored number is the one asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// `Contact`, `Lead`, `Account` or a custom object.
    pub object: String,
    pub id: RecordId,
    pub name: String,
    /// Name of the account, or the lead's company.
    pub account: Option<String>,
    pub account_id: Option<RecordId>,
    pub owner_id: Option<RecordId>,
    /// Of a Person Account: its contact, which is what a Task's `WhoId` may name.
    pub person_contact_id: Option<RecordId>,
    /// The field that holds the number.
    pub field: String,
    pub exactness: Exactness,
    /// Matches of one group are equals, whom only the name and the id order. Groups count upwards from 0, the best.
    #[serde(default)]
    pub group: u16,
    /// Matches of one class have the number equally well and are as much of a person. Who was last spoken with is in a group
    /// before others of its class.
    #[serde(default)]
    pub class: u16,
    /// Why it is a match and stands where it stands, in plain words.
    pub reason: String,
}

impl Answer {
    /// As this user is to see it: of equals, the user's own records come first.
    #[must_use]
    pub fn for_user(mut self, user: &RecordId) -> Self {
        let own = |found: &Match| found.owner_id.as_ref() == Some(user);
        self.matches.sort_by_key(|found| (found.group, !own(found)));
        for found in self.matches.iter_mut().filter(|found| own(found)) {
            found.reason.push_str("; owned by the agent");
        }
        self
    }

    /// The best matches: those of the first one's class.
    pub fn best(&self) -> impl Iterator<Item = &Match> {
        let class = self.matches.first().map(|first| (first.class, first.exactness));
        self.matches.iter().filter(move |found| class == Some((found.class, found.exactness)))
    }

    /// The match that no other one equals: whom a Task is linked to without anybody's choice.
    #[must_use]
    pub fn only_one(&self) -> Option<&Match> {
        let mut best = self.best();
        best.next().filter(|_| best.next().is_none())
    }

    /// The account, when the best matches are several of its contacts and nothing tells which of them it is.
    #[must_use]
    pub fn shared_account(&self) -> Option<&RecordId> {
        let first = self.matches.first()?;
        let account = first.account_id.as_ref()?;
        let mut equals = self.matches.iter().filter(|found| found.group == first.group);
        let several = equals.clone().nth(1).is_some();
        let shared = equals.all(|found| found.object == "Contact" && found.account_id.as_ref() == Some(account));
        (several && shared).then_some(account)
    }

    /// Nothing found, and nothing more to be found.
    #[must_use]
    pub fn unknown(number: PhoneNumber) -> Self {
        Self { number, source: Source::None, matches: Vec::new(), complete: true }
    }
}

impl std::fmt::Debug for Match {
    /// Without the name, so that it may stand in a log line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} by {}", self.object, self.id, self.field)
    }
}
