//! JSON rows as a table of text.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::telemetry::Escaped;

/// Wider cells are cut.
const WIDEST: usize = 60;

/// The columns that any of the rows has, one row a line.
pub(super) fn table(columns: &[&str], rows: &[Json]) -> String {
    let columns: Vec<&str> = columns
        .iter()
        .copied()
        .filter(|column| rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_null())))
        .collect();
    let head = columns.iter().map(|column| column.to_uppercase().replace('_', " ")).collect();
    let mut lines: Vec<Vec<String>> = vec![head];
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row.get(column))).collect()));
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The keys of an object, one a line.
pub(super) fn sheet(object: &Json) -> String {
    sheet_from(object, &[])
}

/// As [`sheet`], with these keys first, in this order.
pub(super) fn sheet_from(object: &Json, first: &[&str]) -> String {
    let mut text = String::new();
    let mut pairs: Vec<_> = object.as_object().into_iter().flatten().collect();
    pairs.sort_by_key(|(key, _)| first.iter().position(|known| known == key).unwrap_or(first.len()));
    for (key, value) in pairs {
        let shown = match value {
            Json::Object(_) | Json::Array(_) => Escaped(&value.to_string()).to_string(),
            Json::Null => "-".to_owned(),
            Json::String(words) => Escaped(words).to_string(),
            Json::Bool(_) | Json::Number(_) => value.to_string(),
        };
        let _ = writeln!(text, "{}: {shown}", Escaped(key));
    }
    text
}

fn cell(value: Option<&Json>) -> String {
    let text = match value {
        None | Some(Json::Null) => "-".to_owned(),
        Some(Json::String(text)) => Escaped(text).to_string(),
        Some(other) => Escaped(&other.to_string()).to_string(),
    };
    match text.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_columns_go_and_foreign_text_is_escaped() {
        let rows = [
            json!({"id": 1, "state": "parked", "reason": "a\nb\u{1b}[31m"}),
            json!({"id": 22, "state": "waiting", "reason": null}),
        ];
        assert_eq!(
            table(&["id", "key", "state", "reason"], &rows),
            "ID  STATE    REASON\n1   parked   a\\nb\\u{1b}[31m\n22  waiting  -\n"
        );
    }
}
