//! The SIP dialog of a subscription (RFC 3261 12): who we and they are in it, and by which way they are reached.

use crate::feeds::sip::{Essentials, Message, Name};

/// More proxies than are on any way.
const MAX_ROUTES: usize = 16;

#[derive(Debug)]
pub(super) struct Dialog {
    pub call_id: String,
    pub local_tag: String,
    /// The PBX's tag, once it has said one.
    pub remote_tag: Option<String>,
    /// Where requests inside the dialog go: its Contact.
    pub target: Option<String>,
    pub routes: Vec<String>,
    pub cseq: u32,
    /// Of the last NOTIFY.
    pub remote_cseq: Option<u32>,
}

impl Dialog {
    pub fn new() -> Self {
        Self {
            call_id: random(),
            local_tag: random(),
            remote_tag: None,
            target: None,
            routes: Vec::new(),
            cseq: 0,
            remote_cseq: None,
        }
    }

    /// The value of To.
    pub fn to(&self, resource: &str) -> String {
        match &self.remote_tag {
            Some(tag) => format!("<{resource}>;tag={tag}"),
            None => format!("<{resource}>"),
        }
    }

    /// A 2xx makes the dialog, or moves its target (RFC 3261 12.1.2, 12.2.1.2).
    pub fn accepted(&mut self, message: &Message<'_>) {
        if let Some(contact) = contact(message) {
            self.target = Some(contact);
        }
        if self.remote_tag.is_some() {
            return;
        }
        let tag = message.address(Name::To).map(|to| to.tag().to_owned()).filter(|tag| !tag.is_empty());
        self.remote_tag = tag;
        self.routes = routes(message);
        self.routes.reverse();
    }

    /// Whether a request comes from the other side of this dialog. The first NOTIFY may come before the 2xx and make it (RFC 6665 4.4.1).
    pub fn is_from_peer(&self, essentials: &Essentials<'_>) -> bool {
        let theirs = essentials.from.tag();
        let is_theirs = match &self.remote_tag {
            Some(tag) => tag == theirs,
            None => !theirs.is_empty(),
        };
        essentials.call_id == self.call_id && essentials.to.tag() == self.local_tag && is_theirs
    }

    pub fn is_next(&self, cseq: u32) -> bool {
        self.remote_cseq.is_none_or(|last| cseq > last)
    }

    pub fn heard(&mut self, message: &Message<'_>, essentials: &Essentials<'_>) {
        self.remote_cseq = Some(essentials.cseq.number);
        if let Some(contact) = contact(message) {
            self.target = Some(contact);
        }
        if self.remote_tag.is_none() {
            self.remote_tag = Some(essentials.from.tag().to_owned());
            self.routes = routes(message);
        }
    }
}

/// The Contact's URI, as written.
fn contact(message: &Message<'_>) -> Option<String> {
    let line = message.values(Name::Contact).next()?;
    let uri = match line.split_once('<') {
        Some((_, rest)) => rest.split('>').next()?,
        None => line.split(';').next()?,
    };
    Some(uri.trim().to_owned()).filter(|uri| crate::feeds::sip::target(uri).is_some())
}

fn routes(message: &Message<'_>) -> Vec<String> {
    message.values(Name::RecordRoute).take(MAX_ROUTES).map(str::to_owned).collect()
}

/// 80 bits that nobody can guess, as text for ids and tags.
pub(super) fn random() -> String {
    let mut bytes = [0_u8; 10];
    if getrandom::fill(&mut bytes).is_err() {
        fastrand::fill(&mut bytes);
    }
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
