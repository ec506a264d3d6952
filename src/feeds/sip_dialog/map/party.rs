//! Whom a dialog is with, as far as it says.

use std::collections::BTreeSet;

use crate::calls::record::Extension;
use crate::feeds::sip::Uri;
use crate::feeds::sip_dialog::info::{Dialog, Direction};
use crate::phone::{NumberPlan, PhoneNumber};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Party {
    /// Not told; or the extension itself, which phone systems put in for want of another.
    Unknown,
    Colleague(Extension),
    /// The number, as written without its escapes.
    Outside {
        number: String,
        withheld: bool,
    },
}

impl Party {
    pub fn read(dialog: &Dialog, own: &Extension, plan: &NumberPlan, watched: &BTreeSet<Extension>) -> Self {
        let Some(number) = who(&dialog.remote) else {
            return Self::Unknown;
        };
        if number == own.0 {
            return Self::Unknown;
        }
        let extension = Extension(number.clone());
        if watched.contains(&extension) {
            return Self::Colleague(extension);
        }
        let initiates = dialog.direction == Some(Direction::Initiator);
        let read = if initiates { plan.read_dialed(&number) } else { plan.read(&number) };
        match read {
            PhoneNumber::Internal { digits } => Self::Colleague(Extension(digits)),
            // A feature code, or the name of a service: nobody outside.
            PhoneNumber::Unreadable { .. } | PhoneNumber::Withheld if initiates => Self::Unknown,
            PhoneNumber::Withheld => Self::Outside { number, withheld: true },
            PhoneNumber::E164 { .. } | PhoneNumber::Unreadable { .. } => Self::Outside { number, withheld: false },
        }
    }

    pub fn number(&self) -> &str {
        match self {
            Self::Outside { number, .. } => number,
            Self::Colleague(extension) => &extension.0,
            Self::Unknown => "",
        }
    }

    pub fn is_withheld(&self) -> bool {
        matches!(self, Self::Outside { withheld: true, .. })
    }
}

/// What was dialled to reach the extension, where that is told and is not the extension itself.
pub(super) fn dialed(dialog: &Dialog, own: &Extension) -> String {
    who(&dialog.local).filter(|dialed| *dialed != own.0).unwrap_or_default()
}

/// The Call-ID, where it is one: some phone systems have only the extension for an id, others the subscription's own.
pub(super) fn call_id<'a>(dialog: &'a Dialog, own: &Extension) -> Option<&'a str> {
    let id = dialog.call_id.as_str();
    (!id.is_empty() && dialog.id != own.0 && !id.starts_with("pickup-")).then_some(id)
}

fn who(uri: &str) -> Option<String> {
    let who = Uri::read(uri)?.who().into_owned();
    (!who.is_empty()).then_some(who)
}
