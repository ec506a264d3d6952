//! Small pages where Salesforce shows records, so that a link in a demo leads somewhere.

use serde_json::Value;

use super::{
    exchange::{Answer, Ask},
    soap::escape,
    world::World,
};
use crate::sim::{
    org::{Fields, id, text},
    sosl,
};

/// Answers what is neither an API nor a token request.
pub(crate) fn answer(world: &World, ask: &Ask) -> Answer {
    let path = ask.path();
    match path.as_slice() {
        [] => page(200, "A pretend Salesforce", &front(world)),
        ["lightning", "r", .., id, "view"] | [id] if id::normal(id).is_some() => record(world, id),
        ["lightning", "o", object, "new"] => {
            let values = ask.parameter("defaultFieldValues").unwrap_or_default();
            page(200, &format!("New {object}"), &new_record(values))
        }
        ["lightning", "o", object, ..] => page(200, object, &list(world, object)),
        ["_ui", "search", ..] | ["one" | "lightning", ..] => {
            let term = ask.parameter("str").unwrap_or_default();
            page(200, "Search", &format!("<p>{}</p><ul>{}</ul>", escape(term), found(world, term)))
        }
        _ => page(404, "Not found", "<p>There is nothing here.</p>"),
    }
}

fn record(world: &World, id: &str) -> Answer {
    let object = world.org.object_of_id(id);
    let found = object.and_then(|object| Some((object, world.org.live(&object.name, id)?)));
    let Some((object, row)) = found else {
        return page(404, "Not found", "<p>The record was deleted or never was.</p>");
    };
    let title = format!("{}: {}", object.name, title_of(&row.fields));
    page(200, &title, &table(&row.fields))
}

fn title_of(row: &Fields) -> &str {
    let names = ["Name", "Subject", "CaseNumber", "Id"];
    names.iter().find_map(|name| text(row, name)).unwrap_or_default()
}

fn table(row: &Fields) -> String {
    let shown = row.iter().filter(|(_, value)| !value.is_null());
    let lines = shown.map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let text = escape(&text);
        let cell = match value.as_str().and_then(id::normal) {
            Some(id) => format!("<a href=\"/lightning/r/{id}/view\">{text}</a>"),
            None => text,
        };
        format!("<tr><th>{name}</th><td>{cell}</td></tr>")
    });
    format!("<table>{}</table>", lines.collect::<String>())
}

fn front(world: &World) -> String {
    let links = ["Contact", "Lead", "Account", "Task", "User"]
        .map(|object| format!("<li><a href=\"/lightning/o/{object}/list\">{object}</a></li>"));
    format!("<ul>{}</ul><p>{}</p>", links.concat(), escape(&world.url))
}

/// The newest rows first.
fn list(world: &World, object: &str) -> String {
    let Some(object) = world.org.object(object) else {
        return String::new();
    };
    let rows: Vec<&Fields> =
        world.org.rows(&object.name).filter(|row| !row.is_deleted()).map(|row| &*row.fields).collect();
    let items = rows.iter().rev().take(200).map(|row| {
        let id = text(row, "Id").unwrap_or_default();
        let title = escape(title_of(row));
        format!("<li><a href=\"/lightning/r/{}/{id}/view\">{title}</a></li>", object.name)
    });
    format!("<ul>{}</ul>", items.collect::<String>())
}

/// The records that a search for these words finds.
fn found(world: &World, words: &str) -> String {
    let digits: String = words.chars().filter(char::is_ascii_digit).collect();
    let is_number = !digits.is_empty() && !words.chars().any(char::is_alphabetic);
    let words = if is_number { digits } else { words.replace(|c: char| !c.is_alphanumeric(), " ") };
    let Ok(search) = sosl::read(&format!("FIND {{{words}}}")) else {
        return String::new();
    };
    let records = sosl::run(&world.org, &search, world.index(), &world.clock("")).unwrap_or_default();
    let ids = records.iter().filter_map(|record| record.get("Id")?.as_str());
    ids.filter_map(|id| item(world, id)).collect()
}

fn item(world: &World, id: &str) -> Option<String> {
    let object = world.org.object_of_id(id)?;
    let row = world.org.live(&object.name, id)?;
    let title = escape(title_of(&row.fields));
    Some(format!("<li>{0}: <a href=\"/lightning/r/{0}/{id}/view\">{title}</a></li>", object.name))
}

fn new_record(values: &str) -> String {
    let mut row = Fields::new();
    for part in values.split(',') {
        if let Some((name, value)) = part.split_once('=') {
            let value = super::exchange::decode(value, false);
            row.insert(escape(name), Value::from(value));
        }
    }
    table(&row)
}

fn page(status: u16, title: &str, body: &str) -> Answer {
    let title = escape(title);
    let style = "body{font:15px sans-serif;margin:2em auto;max-width:50em}th{text-align:left;padding-right:1em}";
    Answer::text(
        status,
        "text/html; charset=utf-8",
        format!(
            "<!doctype html><meta charset=utf-8><title>{title}</title><style>{style}</style>\
             <p><small>pretend Salesforce</small></p><h1>{title}</h1>{body}"
        ),
    )
}
