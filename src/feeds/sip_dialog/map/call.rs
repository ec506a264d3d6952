//! One call, put together from the lines of the extensions that have to do with it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::line::LineKey;
use super::{HANDOVER, PAUSE, party};
use crate::calls::event::{Cause, Leg, LegId};
use crate::calls::record::Extension;
use crate::feeds::sip_dialog::info::Dialog;

/// In the order in which calls began.
pub(super) type TalkId = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Inbound,
    Outbound,
    Internal,
}

#[derive(Debug)]
pub(super) struct Talk {
    pub kind: Kind,
    /// The leg of the far side; of an internal call, of the colleague who called.
    pub far_id: LegId,
    pub far: Option<Leg>,
    /// The leg of the phone that called, of outbound and internal calls.
    pub root: Option<LegId>,
    /// The far side's number, or the extension of the colleague who called.
    pub party: String,
    pub call_id: Option<String>,
    /// The local identity names what was dialled: Call-IDs go through from end to end.
    pub is_end_to_end: bool,
    pub began: Timestamp,
    pub answered: bool,
    pub answered_at: Option<Timestamp>,
    /// It was answered, and it is not told at which of the phones that share a dialog.
    pub is_anyones: bool,
    /// Who talked in it last.
    pub last_agent: Option<Extension>,
    /// Whose line ended last.
    pub left_by: Option<Extension>,
    /// Since when it is at no extension.
    pub quiet: Option<Timestamp>,
    /// How its last line ended.
    pub cause: Cause,
    /// Lines that were confirmed one moment ago, and when it is enough of waiting for more of them.
    pub confirmed: Option<(Timestamp, BTreeSet<LineKey>)>,
}

impl Talk {
    pub fn new(kind: Kind, far_id: LegId, party: &str, dialog: &Dialog, own: &Extension, now: Timestamp) -> Self {
        Self {
            kind,
            far_id,
            far: None,
            root: None,
            party: party.to_owned(),
            call_id: party::call_id(dialog, own).map(str::to_owned),
            is_end_to_end: !party::dialed(dialog, own).is_empty(),
            began: now,
            answered: false,
            answered_at: None,
            is_anyones: false,
            last_agent: None,
            left_by: None,
            quiet: None,
            cause: Cause::Untold,
            confirmed: None,
        }
    }

    /// When it is over, if nothing more comes; or when those are looked at that were confirmed.
    pub fn deadline(&self) -> Option<Timestamp> {
        let confirmed = self.confirmed.as_ref().map(|(until, _)| *until);
        self.over_at().into_iter().chain(confirmed).min()
    }

    pub fn over_at(&self) -> Option<Timestamp> {
        let may_ring_on = !self.answered && !self.is_end_to_end && self.kind == Kind::Inbound;
        self.quiet.map(|since| since + if may_ring_on { PAUSE } else { HANDOVER })
    }
}
