//! From the text of a frame to [`Frame`]: first its type, then, knowing what to look for, the rest.
//!
//! Two passes over the text cost less than keeping all of it until the type is found, since the first ends where type and time
//! stamp are known: Asterisk writes both near the beginning.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, VariantAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Error, Value};

use super::wire::{Event, Frame, lenient_stamp};

/// Why a frame says nothing to us, without its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum BadFrame {
    #[error("it is no JSON object with a `type`")]
    NoEvent,
    /// The type is one of [`Event`]'s, since nothing is asked of others.
    #[error("a {0} frame lacks what it needs")]
    Lacking(String),
}

impl Frame {
    /// # Errors
    ///
    /// The text is no frame, or one of [`Event`]'s that lacks something.
    pub fn parse(text: &str) -> Result<Self, BadFrame> {
        let head = Head::of(text);
        let kind = head.kind.ok_or(BadFrame::NoEvent)?;
        let event = Event::deserialize(Typed { kind: &kind, text })
            .map_err(|_| BadFrame::Lacking(kind.clone().into_owned()))?;
        Ok(Self { timestamp: head.timestamp, event })
    }
}

impl TryFrom<Value> for Frame {
    type Error = BadFrame;

    fn try_from(value: Value) -> Result<Self, BadFrame> {
        Self::parse(&value.to_string())
    }
}

/// What stands in front, as far as it could be read.
#[derive(Default)]
struct Head<'a> {
    kind: Option<Cow<'a, str>>,
    timestamp: Option<Timestamp>,
}

impl<'a> Head<'a> {
    fn of(text: &'a str) -> Self {
        let mut head = Self::default();
        // Fails whenever it ends early, which is what it should; what the rest of the text is worth shows in the second pass.
        let _ = serde_json::Deserializer::from_str(text).deserialize_map(Reading(&mut head));
        head
    }
}

/// Reads the members of a frame until the head is complete.
struct Reading<'h, 'a>(&'h mut Head<'a>);

impl<'a> Visitor<'a> for Reading<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a frame")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        while self.0.kind.is_none() || self.0.timestamp.is_none() {
            match members.next_key()? {
                Some(Member::Type) => self.0.kind = Some(members.next_value::<Kind>()?.0),
                Some(Member::Timestamp) => self.0.timestamp = members.next_value::<Stamp>()?.0,
                Some(Member::Other) => _ = members.next_value::<IgnoredAny>()?,
                None => break,
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Member {
    Type,
    Timestamp,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Kind<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(transparent)]
struct Stamp(#[serde(deserialize_with = "lenient_stamp")] Option<Timestamp>);

/// The text of an object as the variant `kind` of an enum.
struct Typed<'a> {
    kind: &'a str,
    text: &'a str,
}

impl<'de> Deserializer<'de> for Typed<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Typed<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(BorrowedStrDeserializer::<Error>::new(self.kind))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Typed<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(&mut serde_json::Deserializer::from_str(self.text))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a frame is an object"))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        let mut deserializer = serde_json::Deserializer::from_str(self.text);
        let event = deserializer.deserialize_struct("", fields, visitor)?;
        deserializer.end()?;
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_may_stand_anywhere() {
        let text = r#"{"bridge":{"id":"b"},"channel":{"id":"1.1","name":"PJSIP/101-00000001"},"timestamp":"2026-11-21T17:26:44.085+0000","type":"ChannelLeftBridge"}"#;
        let frame = Frame::parse(text).unwrap();
        assert_eq!(frame.timestamp, "2026-11-21T17:26:44.085Z".parse().ok());
        let Event::ChannelLeftBridge { channel, bridge } = frame.event else {
            panic!("{:?}", frame.event);
        };
        assert_eq!((channel.id.as_str(), bridge.id.as_str()), ("1.1", "b"));
    }

    #[test]
    fn of_a_type_that_is_not_used_nothing_is_asked() {
        let frame = Frame::parse(r#"{"type":"New\u0041","channel":7}"#).unwrap();
        assert!(matches!(frame.event, Event::Other));
    }

    #[test]
    fn a_bad_frame_is_named_by_its_type_and_not_by_its_content() {
        let lacking = BadFrame::Lacking("ChannelHold".to_owned());
        for (text, bad) in [
            ("", BadFrame::NoEvent),
            ("[]", BadFrame::NoEvent),
            (r#"{"type":7}"#, BadFrame::NoEvent),
            (r#"{"type":"ChannelHold"} and more"#, lacking.clone()),
            (r#"{"type":"ChannelHold","channel":{"id":"1.1"}} and more"#, lacking.clone()),
            (r#"{"type":"ChannelHold","timestamp":"","channel":{"id":"1.1"}"#, lacking.clone()),
            (r#"{"type":"ChannelHold"}"#, lacking.clone()),
            (r#"{"type":"ChannelHold","channel":"Jane"}"#, lacking),
        ] {
            assert_eq!(Frame::parse(text).unwrap_err(), bad, "{text}");
        }
    }
}
