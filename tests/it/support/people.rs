//! The people who have the numbers of a recording.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::truth::Row;

/// The people of a recording, and others whose numbers look alike.
pub struct People {
    pub seed: Value,
    /// Who has which number.
    pub names: BTreeMap<String, String>,
}

/// Everybody who calls or is called is a contact, spelt as people type numbers; each has look-alikes elsewhere.
pub fn people(rows: &[Row]) -> People {
    let numbers: BTreeSet<&String> = rows.iter().filter_map(|row| row.party.as_ref()).collect();
    let (mut contacts, mut names) = (Vec::new(), BTreeMap::new());
    for (nth, number) in numbers.iter().enumerate() {
        let name = format!("Party {}", nth + 1);
        contacts.push(json!({ "LastName": name, "Phone": spell(number, nth) }));
        names.insert((*number).clone(), name);
    }
    for (nth, number) in numbers.iter().enumerate() {
        for decoy in decoys(number) {
            if !names.contains_key(&decoy) {
                contacts.push(json!({ "LastName": format!("Decoy {nth}"), "MobilePhone": decoy }));
            }
        }
    }
    People { seed: json!({ "Contact": contacts }), names }
}

/// The same number as five people would type it.
fn spell(number: &str, nth: usize) -> String {
    let Some(national) = number.strip_prefix("+49") else {
        return match nth % 3 {
            0 => number.to_owned(),
            1 => format!("00{}", &number[1..]),
            _ => format!("{} {} {}", &number[..3], &number[3..6], &number[6..]),
        };
    };
    let (area, rest) = national.split_at(2);
    match nth % 5 {
        0 => format!("0{area} {rest}"),
        1 => format!("+49 (0){area} {rest}"),
        2 => format!("0049 {area} {rest}"),
        3 => format!("0{area}/{} {}", &rest[..3], &rest[3..]),
        _ => number.to_owned(),
    }
}

/// The same last digits in another area and in another country.
fn decoys(number: &str) -> Vec<String> {
    let tail = &number[number.len() - 7..];
    vec![format!("+49221{tail}"), format!("+4319{tail}"), format!("+1212{tail}")]
}
