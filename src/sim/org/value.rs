//! From what a client sends for a field to what is stored, or the refusal that it gets.

use serde_json::Value;

use super::{
    Refusal, id,
    schema::{Field, Kind},
    time,
};

/// The stored form of `value`; an empty text is stored as null, as Salesforce does.
pub(crate) fn coerce(object: &str, field: &Field, value: &Value) -> Result<Value, Refusal> {
    if value.is_null() || value.as_str() == Some("") {
        return Ok(Value::Null);
    }
    match &field.kind {
        Kind::Bool => boolean(value),
        Kind::Int => whole(field, value),
        Kind::Double => number(value),
        Kind::Date => date(value),
        Kind::DateTime => moment(value),
        Kind::Id | Kind::Ref { .. } => reference(object, field, value),
        Kind::Pick { values, restricted } => picked(field, value, values, *restricted),
        Kind::Text(_) | Kind::Area(_) | Kind::Phone | Kind::Email | Kind::Url | Kind::External { .. } => {
            short_enough(field, plain(field, value)?)
        }
    }
}

/// What Salesforce calls a field when it speaks of a wrong id in it.
pub(crate) fn label(object: &str, field: &str) -> String {
    match (object, field) {
        ("Task", "WhoId") => "Name ID".to_owned(),
        ("Task", "WhatId") => "Related To ID".to_owned(),
        ("Task", "OwnerId") => "Assigned To ID".to_owned(),
        _ => format!("{} ID", spaced(field.strip_suffix("Id").unwrap_or(field))),
    }
}

/// `CallDurationInSeconds` as a label: `Call Duration In Seconds`.
pub(crate) fn spaced(name: &str) -> String {
    let mut label = String::new();
    let mut last = 'A';
    for character in name.trim_end_matches("__c").replace('_', " ").chars() {
        if character.is_ascii_uppercase() && last.is_ascii_lowercase() {
            label.push(' ');
        }
        label.push(character);
        last = character;
    }
    label
}

fn boolean(value: &Value) -> Result<Value, Refusal> {
    let read = match value.as_str() {
        Some(text) => text.to_ascii_lowercase().parse().ok(),
        None => value.as_bool(),
    };
    read.map_or_else(|| Err(unreadable("boolean", value)), |flag| Ok(flag.into()))
}

fn whole(field: &Field, value: &Value) -> Result<Value, Refusal> {
    let number = match value.as_str() {
        Some(text) => text.parse::<i64>().ok(),
        None => value.as_i64(),
    };
    let number = number.ok_or_else(|| unreadable("int", value))?;
    // int(8): Salesforce keeps eight digits of a call's duration.
    if number.abs() > 99_999_999 {
        let message = format!("{}: value outside of valid range on numeric field: {number}", spaced(&field.name));
        return Err(Refusal::of_field("NUMBER_OUTSIDE_VALID_RANGE", &field.name, message));
    }
    Ok(number.into())
}

fn number(value: &Value) -> Result<Value, Refusal> {
    let number = match value.as_str() {
        Some(text) => text.parse::<f64>().ok(),
        None => value.as_f64(),
    };
    number.map_or_else(|| Err(unreadable("double", value)), |n| Ok(n.into()))
}

fn date(value: &Value) -> Result<Value, Refusal> {
    value
        .as_str()
        .and_then(time::read_date)
        .map(|date| date.to_string().into())
        .ok_or_else(|| unreadable("date", value))
}

fn moment(value: &Value) -> Result<Value, Refusal> {
    value
        .as_str()
        .and_then(time::read)
        .map(|moment| time::write(moment).into())
        .ok_or_else(|| unreadable("datetime", value))
}

fn reference(object: &str, field: &Field, value: &Value) -> Result<Value, Refusal> {
    let text = plain(field, value)?;
    id::normal(&text).map(Value::from).ok_or_else(|| {
        let message = format!("{}: id value of incorrect type: {text}", label(object, &field.name));
        Refusal::of_field("MALFORMED_ID", &field.name, message)
    })
}

fn picked(field: &Field, value: &Value, allowed: &[String], restricted: bool) -> Result<Value, Refusal> {
    let text = plain(field, value)?;
    if !restricted || allowed.contains(&text) {
        return short_enough(field, text);
    }
    let message = format!("{}: bad value for restricted picklist field: {text}", spaced(&field.name));
    Err(Refusal::of_field("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", &field.name, message))
}

fn short_enough(field: &Field, text: String) -> Result<Value, Refusal> {
    let Some(max) = field.kind.length() else {
        return Ok(text.into());
    };
    if text.chars().count() <= max {
        return Ok(text.into());
    }
    let shown: String = text.chars().take(255).collect();
    let message = format!("{}: data value too large: {shown} (max length={max})", spaced(&field.name));
    Err(Refusal::of_field("STRING_TOO_LONG", &field.name, message))
}

fn plain(field: &Field, value: &Value) -> Result<String, Refusal> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    if value.is_number() || value.is_boolean() {
        return Ok(value.to_string());
    }
    Err(unreadable(&format!("string for {}", field.name), value))
}

fn unreadable(wanted: &str, value: &Value) -> Refusal {
    let found = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let message = format!(
        "Cannot deserialize instance of {wanted} from value {found} or request may be missing a required field"
    );
    Refusal::new("JSON_PARSER_ERROR", message)
}
