//! The subscriptions of one connection, and what comes of the documents that they bring.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::info::{BadDocument, Document};
use super::parts;
use super::subscription::{Account, Out, Subscription, Verdict};
use super::view::{Applied, View};
use crate::calls::record::Extension;
use crate::feeds::sip::{Message, Name, Uri};

const DIALOG_INFO: &str = "application/dialog-info+xml";

/// One subscription with the views of what it shows: of one extension, or of all of a list.
pub struct Watch {
    pub subscription: Subscription,
    /// `None`: a list's.
    extension: Option<Extension>,
    /// Of a list: whose dialogs are wanted; empty: everybody's.
    wanted: BTreeSet<Extension>,
    views: BTreeMap<Extension, View>,
}

/// What a NOTIFY brought.
pub struct Brought {
    pub code: u16,
    pub out: Vec<Out>,
    /// Extensions whose view is another now; true: it came up with this.
    pub changed: Vec<(Extension, bool)>,
    pub bad: Option<BadDocument>,
}

impl Watch {
    pub fn extension(account: &Arc<Account>, extension: &Extension, start: Instant) -> Self {
        let subscription = Subscription::to_extension(Arc::clone(account), &extension.0, start);
        Self { subscription, extension: Some(extension.clone()), wanted: BTreeSet::new(), views: BTreeMap::new() }
    }

    pub fn list(account: &Arc<Account>, list: &str, wanted: BTreeSet<Extension>, start: Instant) -> Self {
        let subscription = Subscription::to_list(Arc::clone(account), list, start);
        Self { subscription, extension: None, wanted, views: BTreeMap::new() }
    }

    /// For a log line.
    pub fn what(&self) -> &str {
        self.extension.as_ref().map_or("the list", |extension| &extension.0)
    }

    pub fn is_up(&self) -> bool {
        !self.views.is_empty()
    }

    pub fn view(&mut self, extension: &Extension) -> Option<&mut View> {
        self.views.get_mut(extension)
    }

    /// The subscription is gone. Whose dialogs it had shown.
    pub fn lost(&mut self) -> Vec<Extension> {
        std::mem::take(&mut self.views).into_keys().collect()
    }

    pub fn notify(&mut self, message: &Message<'_>, now: Instant) -> Brought {
        let mut brought = Brought { code: 200, out: Vec::new(), changed: Vec::new(), bad: None };
        match self.subscription.notify(message, now, &mut brought.out) {
            Verdict::Refuse(code) => brought.code = code,
            Verdict::Nothing => {}
            Verdict::Take => self.take(message, now, &mut brought),
        }
        brought
    }

    fn take(&mut self, message: &Message<'_>, now: Instant, brought: &mut Brought) {
        let content_type = message.header(Name::ContentType).unwrap_or_default();
        match (parts::kind(content_type).as_str(), parts::boundary(content_type)) {
            // An extension that never had a call may have no document.
            _ if message.body.trim_ascii().is_empty() => self.take_nothing(brought),
            (DIALOG_INFO, _) => self.document(message.body, now, brought),
            ("multipart/related", Some(boundary)) => {
                for part in parts::parts(message.body, boundary) {
                    if part.kind == DIALOG_INFO {
                        self.document(part.body, now, brought);
                    }
                }
            }
            _ => brought.code = 415,
        }
    }

    fn take_nothing(&mut self, brought: &mut Brought) {
        if let Some(extension) = self.extension.clone().filter(|extension| !self.views.contains_key(extension)) {
            self.views.insert(extension.clone(), View::default());
            brought.changed.push((extension, true));
        }
    }

    fn document(&mut self, body: &[u8], now: Instant, brought: &mut Brought) {
        let document = match Document::read(body) {
            Ok(document) => document,
            Err(bad) => {
                brought.bad = Some(bad);
                return;
            }
        };
        let Some(extension) = self.extension.clone().or_else(|| self.of_list(&document.entity)) else {
            return;
        };
        let is_new = !self.views.contains_key(&extension);
        match self.views.entry(extension.clone()).or_default().apply(document) {
            Applied::Old => return,
            Applied::Current => {}
            Applied::Gap => brought.out.extend(self.subscription.refresh(now)),
        }
        brought.changed.push((extension, is_new));
    }

    fn of_list(&self, entity: &str) -> Option<Extension> {
        let extension = Extension(Uri::read(entity)?.who().into_owned());
        let is_wanted = self.wanted.is_empty() || self.wanted.contains(&extension);
        (is_wanted && !extension.0.is_empty()).then_some(extension)
    }
}
