//! Documents of the type `application/dialog-info+xml` (RFC 4235 4), read with tolerance and limits.
//!
//! Namespaces are not looked at, unknown elements are passed over, and nothing is expanded: a document type or an entity that is not
//! one of XML's own five refuses the document. The remote target is not read at all: where a caller is withheld, it leaks the number.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// A longer document is not read.
const MAX_BYTES: usize = 65_535;
/// Deeper than any schema of it goes.
const MAX_DEPTH: usize = 16;
/// More dialogs than any phone has.
const MAX_DIALOGS: usize = 256;
/// A longer value is none.
const MAX_TEXT: usize = 512;

/// Why a document is not taken. Says nothing of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum BadDocument {
    #[error("a dialog-info document is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("a dialog-info document is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("a dialog-info document lists more than {MAX_DIALOGS} dialogs")]
    TooMany,
    #[error("a dialog-info document declares a document type or uses an entity, which is not allowed")]
    Entity,
    #[error("a dialog-info document is not well-formed")]
    Malformed,
    #[error("a document is not a dialog-info document")]
    OtherRoot,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// `None` where it is missing or no number.
    pub version: Option<u64>,
    /// URI of the extension that it is about; empty where it is missing.
    pub entity: String,
    /// It lists all dialogs; else only those that changed.
    pub is_full: bool,
    pub dialogs: Vec<Dialog>,
}

/// One dialog of the watched extension, seen from there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dialog {
    pub id: String,
    /// Empty where it is not told.
    pub call_id: String,
    pub direction: Option<Direction>,
    /// `None`: missing or a word that the standard does not know.
    pub state: Option<State>,
    pub event: Option<EndEvent>,
    /// The response that changed the state.
    pub code: Option<u16>,
    /// Seconds since it began.
    pub duration: Option<u32>,
    /// URI of the watched side, as written; often what was dialled to reach it.
    pub local: String,
    /// URI of the far side, as written; empty where it is not told.
    pub remote: String,
    /// Display name of the far side.
    pub name: String,
    /// The watched side has put the far side on hold.
    pub held: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The watched side called.
    Initiator,
    /// The watched side was called.
    Recipient,
}

/// RFC 4235 3.7.1. `Proceeding` is told apart from `Trying` by nothing that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Trying,
    Early,
    Confirmed,
    Terminated,
}

/// Why the state was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndEvent {
    Cancelled,
    Rejected,
    Replaced,
    LocalBye,
    RemoteBye,
    Error,
    Timeout,
}

impl Document {
    /// # Errors
    /// Why it is not taken.
    pub fn read(bytes: &[u8]) -> Result<Self, BadDocument> {
        if bytes.len() > MAX_BYTES {
            return Err(BadDocument::TooLong);
        }
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}').trim());
        let mut building = Building::default();
        loop {
            match reader.read_event().map_err(|_| BadDocument::Malformed)? {
                Event::Start(tag) => building.open(&tag)?,
                Event::Empty(tag) => {
                    building.open(&tag)?;
                    building.close();
                }
                Event::End(_) => building.close(),
                Event::Text(text) => building.text(&text),
                Event::CData(text) => building.text(&text),
                Event::GeneralRef(name) => building.text(predefined(&name)?),
                Event::DocType(_) => return Err(BadDocument::Entity),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        building.finish()
    }
}

/// The character of one of the five entities of XML itself.
fn predefined(name: &str) -> Result<&'static str, BadDocument> {
    match name {
        "amp" => Ok("&"),
        "lt" => Ok("<"),
        "gt" => Ok(">"),
        "quot" => Ok("\""),
        "apos" => Ok("'"),
        _ => Err(BadDocument::Entity),
    }
}

/// A document while it is read.
#[derive(Default)]
struct Building {
    /// Names of the open elements, the innermost last.
    path: Vec<String>,
    text: String,
    document: Option<Document>,
    dialog: Option<Dialog>,
}

impl Building {
    fn open(&mut self, tag: &BytesStart<'_>) -> Result<(), BadDocument> {
        if self.path.len() >= MAX_DEPTH {
            return Err(BadDocument::TooDeep);
        }
        let name = local_name(tag.name().as_ref()).to_owned();
        let attribute = |name: &str| attribute(tag, name);
        match (self.path.len(), name.as_str()) {
            (0, "dialog-info") if self.document.is_none() => {
                let version = attribute("version").and_then(|version| version.parse().ok());
                let is_full = attribute("state").is_none_or(|state| !state.eq_ignore_ascii_case("partial"));
                let entity = attribute("entity").unwrap_or_default();
                self.document = Some(Document { version, entity, is_full, dialogs: Vec::new() });
            }
            (0, _) => return Err(BadDocument::OtherRoot),
            (1, "dialog") => {
                self.dialog = Some(Dialog {
                    id: attribute("id").unwrap_or_default(),
                    call_id: attribute("call-id").unwrap_or_default(),
                    direction: attribute("direction").as_deref().and_then(direction),
                    ..Dialog::default()
                });
            }
            (depth, name) => self.inside(depth, name, &attribute),
        }
        self.path.push(name);
        self.text.clear();
        Ok(())
    }

    fn inside(&mut self, depth: usize, name: &str, attribute: &dyn Fn(&str) -> Option<String>) {
        let is_in = |element: &str| self.path.get(2).is_some_and(|at| at == element);
        let (in_local, in_remote) = (is_in("local"), is_in("remote"));
        let Some(dialog) = &mut self.dialog else { return };
        match (depth, name) {
            (2, "state") => {
                dialog.event = attribute("event").as_deref().and_then(end_event);
                dialog.code = attribute("code").and_then(|code| code.parse().ok());
            }
            (3, "identity") if in_remote => {
                dialog.name = attribute("display").or_else(|| attribute("display-name")).unwrap_or_default();
            }
            // RFC 4235 spells it `pval`, most phone systems `pvalue`; it says what the watched side does with the media.
            (4, "param") if in_local && attribute("pname").as_deref() == Some("+sip.rendering") => {
                let value = attribute("pval").or_else(|| attribute("pvalue")).unwrap_or_default();
                dialog.held = value.eq_ignore_ascii_case("no");
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.text.len() + text.len() <= MAX_TEXT {
            self.text.push_str(text);
        }
    }

    fn close(&mut self) {
        let Some(name) = self.path.pop() else { return };
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        let side = self.path.get(2).map(String::as_str);
        match (self.path.len(), name.as_str(), &mut self.dialog) {
            (1, "dialog", dialog) => {
                let whole = dialog.take().filter(|dialog| !dialog.key().is_empty());
                if let Some(document) = &mut self.document {
                    document.dialogs.extend(whole);
                }
            }
            (2, "state", Some(dialog)) => dialog.state = state(text),
            (2, "duration", Some(dialog)) => dialog.duration = text.parse().ok(),
            (3, "identity", Some(dialog)) if side == Some("remote") => text.clone_into(&mut dialog.remote),
            (3, "identity", Some(dialog)) if side == Some("local") => text.clone_into(&mut dialog.local),
            _ => {}
        }
    }

    fn finish(self) -> Result<Document, BadDocument> {
        if !self.path.is_empty() {
            return Err(BadDocument::Malformed);
        }
        let document = self.document.ok_or(BadDocument::OtherRoot)?;
        if document.dialogs.len() > MAX_DIALOGS { Err(BadDocument::TooMany) } else { Ok(document) }
    }
}

impl Dialog {
    /// What tells it from the other dialogs of a subscription.
    #[must_use]
    pub fn key(&self) -> &str {
        if self.id.is_empty() { &self.call_id } else { &self.id }
    }
}

fn local_name(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().with_checks(false).flatten().find(|it| local_name(it.key.as_ref()) == name)?;
    let value = found.normalized_value(XmlVersion::default()).ok()?;
    (value.len() <= MAX_TEXT).then(|| value.trim().to_owned())
}

fn direction(word: &str) -> Option<Direction> {
    match word.to_ascii_lowercase().as_str() {
        "initiator" => Some(Direction::Initiator),
        "recipient" => Some(Direction::Recipient),
        _ => None,
    }
}

fn state(word: &str) -> Option<State> {
    match word.to_ascii_lowercase().as_str() {
        "trying" | "proceeding" => Some(State::Trying),
        "early" => Some(State::Early),
        "confirmed" => Some(State::Confirmed),
        "terminated" => Some(State::Terminated),
        _ => None,
    }
}

fn end_event(word: &str) -> Option<EndEvent> {
    match word.to_ascii_lowercase().as_str() {
        "cancelled" => Some(EndEvent::Cancelled),
        "rejected" => Some(EndEvent::Rejected),
        "replaced" => Some(EndEvent::Replaced),
        "local-bye" => Some(EndEvent::LocalBye),
        "remote-bye" => Some(EndEvent::RemoteBye),
        "error" => Some(EndEvent::Error),
        "timeout" => Some(EndEvent::Timeout),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(body: &str) -> Dialog {
        let text = format!(r#"<?xml version="1.0"?><dialog-info version="1" state="full">{body}</dialog-info>"#);
        Document::read(text.as_bytes()).unwrap().dialogs.remove(0)
    }

    #[test]
    fn what_phone_systems_write_is_read() {
        let dialog = one(r#"<d:dialog id="101" direction="recipient"><state event="remote-bye" code="200">
            Terminated </state><duration>12</duration>
            <remote><identity display="M&amp;S &quot;x&quot;">sip:+4930231250444@pbx</identity><target uri="sip:leak@x"/></remote>
            <local><identity>sip:101@pbx</identity><target uri="sip:101@pbx"><param pname="+sip.rendering" pvalue="no"/></target></local>
            </d:dialog>"#);
        assert_eq!(
            (dialog.state, dialog.event, dialog.code),
            (Some(State::Terminated), Some(EndEvent::RemoteBye), Some(200))
        );
        assert_eq!((dialog.name.as_str(), dialog.remote.as_str()), ("M&S \"x\"", "sip:+4930231250444@pbx"));
        assert_eq!((dialog.held, dialog.duration, dialog.direction), (true, Some(12), Some(Direction::Recipient)));
    }

    #[test]
    fn hold_is_what_the_watched_side_does() {
        let param = r#"<target uri="x"><param pname="+sip.rendering" pval="no"/></target>"#;
        assert!(one(&format!(r#"<dialog id="1"><local>{param}</local></dialog>"#)).held);
        assert!(!one(&format!(r#"<dialog id="1"><remote>{param}</remote></dialog>"#)).held);
    }

    #[test]
    fn an_identity_with_an_entity_in_it_is_whole() {
        assert_eq!(
            one(r#"<dialog id="1"><remote><identity>sip:a&amp;b@x</identity></remote></dialog>"#).remote,
            "sip:a&b@x"
        );
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = format!("<dialog-info>{}{}</dialog-info>", "<a>".repeat(40), "</a>".repeat(40));
        let many = format!("<dialog-info>{}</dialog-info>", r#"<dialog id="1"/>"#.repeat(300));
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa">]><dialog-info><dialog id="&a;"/></dialog-info>"#;
        for (text, why) in [
            (deep.as_str(), BadDocument::TooDeep),
            (&many, BadDocument::TooMany),
            (bomb, BadDocument::Entity),
            ("<dialog-info><dialog id='1'><state>&x;</state></dialog></dialog-info>", BadDocument::Entity),
            ("<dialog-info><dialog></dialog-info>", BadDocument::Malformed),
            ("<dialog-info>", BadDocument::Malformed),
            ("<presence/>", BadDocument::OtherRoot),
            ("", BadDocument::OtherRoot),
        ] {
            assert_eq!(Document::read(text.as_bytes()), Err(why), "{text}");
        }
        assert_eq!(Document::read(&vec![b' '; MAX_BYTES + 1]), Err(BadDocument::TooLong));
    }
}
