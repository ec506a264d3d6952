//! Which entries an operator wants to see.

/// Which entries a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Not in Salesforce as they should be: waiting, on the wire, parked.
    #[default]
    Pending,
    Waiting,
    Wire,
    Parked,
    Done,
    All,
}

impl Filter {
    /// By the word that an operator types.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "pending" => Self::Pending,
            "waiting" => Self::Waiting,
            "wire" => Self::Wire,
            "parked" => Self::Parked,
            "done" => Self::Done,
            "all" => Self::All,
            _ => return None,
        })
    }

    /// The states that it lets through, four always, one or the other twice.
    pub(super) fn states(self) -> [&'static str; 4] {
        match self {
            Self::Pending => ["waiting", "wire", "parked", "parked"],
            Self::Waiting => ["waiting"; 4],
            Self::Wire => ["wire"; 4],
            Self::Parked => ["parked"; 4],
            Self::Done => ["done"; 4],
            Self::All => ["waiting", "wire", "parked", "done"],
        }
    }
}
