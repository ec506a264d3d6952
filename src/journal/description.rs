//! The Task's description: what happened on the call, in words that an agent reads.

use jiff::Timestamp;
use jiff::civil::Date;

use super::note::Note;
use super::task::{Task, number_words};
use super::text::{lines, one_line};
use crate::calls::record::{CallRecord, Extension, Happening, HungUpBy, JourneyStep};
use crate::directory::answer::Match;
use crate::salesforce::RecordId;

/// Steps of a journey that are told; a call with more was bounced about by a machine.
const STEPS: usize = 200;
const CANDIDATES: usize = 10;

pub(super) fn of(task: &Task) -> String {
    let record = task.part.record;
    let paragraphs =
        [head(record), journey(task), end(task), candidates(&task.link.candidates), repairs(task), notes(task)];
    let told: Vec<String> = paragraphs.into_iter().filter(|paragraph| !paragraph.is_empty()).collect();
    told.join("\n\n")
}

fn head(record: &CallRecord) -> String {
    let call = &record.call;
    let mut head = vec![format!("Number: {}", number_words(&call.party.number))];
    if !call.dialed.is_empty() {
        head.push(format!("Dialled: {}", one_line(&call.dialed)));
    }
    if let Some(queue) = &call.queue {
        head.push(format!("Queue: {}", one_line(queue)));
    }
    head.join("\n")
}

fn journey(task: &Task) -> String {
    let call = &task.part.record.call;
    let day = day(task, call.started);
    let zone = task.zone.iana_name().unwrap_or("UTC");
    let mut told = vec![format!("Journey ({day}, {zone}):")];
    told.extend(call.journey.iter().take(STEPS).map(|step| line(task, day, step)));
    let untold = call.journey.len().saturating_sub(STEPS);
    if untold > 0 {
        told.push(format!("… and {untold} more"));
    }
    told.join("\n")
}

fn line(task: &Task, day: Date, step: &JourneyStep) -> String {
    format!("{} {}", clock(task, day, step.at), words(task, &step.what))
}

fn words(task: &Task, what: &Happening) -> String {
    let who = |extension: &Extension| who(task, extension);
    let by = |extension: &Option<Extension>| {
        extension.as_ref().map_or_else(String::new, |extension| format!(" by {}", who(extension)))
    };
    match what {
        Happening::Started => "started".to_owned(),
        Happening::Queued(queue) => format!("came into queue {}", one_line(queue)),
        Happening::Rang(extension) => format!("rang {}", who(extension)),
        Happening::Answered(extension) => format!("{} answered", who(extension)),
        Happening::AnsweredBySomeone => "answered; the phone system does not say by whom".to_owned(),
        Happening::OutsideAnswered => "the outside party answered".to_owned(),
        Happening::Held(extension) => format!("held by {}", who(extension)),
        Happening::Resumed(extension) => format!("taken back by {}", who(extension)),
        Happening::Transferred { by: from, to } => {
            let to = to.as_ref().map_or_else(String::new, |to| format!(" to {}", who(&Extension(to.clone()))));
            format!("transferred{}{to}", by(from))
        }
        Happening::Parked(extension) => format!("parked{}", by(extension)),
        Happening::Joined(extension) => format!("{} joined", who(extension)),
        Happening::Left(extension) => format!("{} left", who(extension)),
        Happening::Voicemail => "a mailbox answered".to_owned(),
        Happening::Ended(who) => format!("ended{}", ended_by(*who)),
    }
}

fn ended_by(who: Option<HungUpBy>) -> &'static str {
    match who {
        Some(HungUpBy::OutsideParty) => " by the outside party",
        Some(HungUpBy::Agent) => " by the agent",
        Some(HungUpBy::PhoneSystem) => " by the phone system",
        None => "",
    }
}

fn end(task: &Task) -> String {
    let record = task.part.record;
    let Some((from, to)) = record.end_estimated else {
        return String::new();
    };
    let day = day(task, record.call.started);
    format!(
        "The end is estimated: nobody saw it, it was between {} and {}. The first is taken.",
        clock(task, day, from),
        clock(task, day, to)
    )
}

fn candidates(matches: &[&Match]) -> String {
    if matches.is_empty() {
        return String::new();
    }
    let mut told = vec!["Several records have this number; nobody chose:".to_owned()];
    told.extend(matches.iter().take(CANDIDATES).map(|found| candidate(found)));
    let untold = matches.len().saturating_sub(CANDIDATES);
    if untold > 0 {
        told.push(format!("… and {untold} more"));
    }
    told.join("\n")
}

fn candidate(found: &Match) -> String {
    let account = found.account.as_ref().map_or_else(String::new, |account| format!(", {}", one_line(account)));
    let (name, object, id) = (one_line(&found.name), &found.object, &found.id);
    format!("- {name}{account} ({object} {id})")
}

fn repairs(task: &Task) -> String {
    let mut told = Vec::new();
    if let Some(unlinked) = &task.part.repairs.unlinked {
        let records: Vec<&str> = unlinked.records.iter().map(RecordId::as_str).collect();
        told.push(format!(
            "Not linked to {}: Salesforce refused it ({}).",
            records.join(" and "),
            one_line(&unlinked.code)
        ));
    }
    told.extend(task.part.repairs.moved.iter().map(|(old, new)| format!("Linked to {new}, which {old} became.")));
    if task.part.repairs.not_looked_up {
        told.push("The caller was not looked up: the org's API calls were nearly used up.".to_owned());
    }
    told.extend(task.misfits.iter().map(|(field, wanted)| format!("{field} is left out: it takes {wanted}.")));
    if task.part.repairs.fallback_owner {
        told.push("The agent's user in Salesforce may not own it; the fallback owner does.".to_owned());
    }
    told.join("\n")
}

fn notes(task: &Task) -> String {
    let told: Vec<String> = task.notes.iter().filter_map(|note| said(task, note)).collect();
    told.join("\n\n")
}

fn said(task: &Task, note: &Note) -> Option<String> {
    let text = lines(note.notes.as_deref()?);
    let by = note
        .extension
        .as_ref()
        .map_or_else(String::new, |extension| format!(" by {}", who(task, &Extension(extension.clone()))));
    (!text.is_empty()).then(|| format!("Notes{by}:\n{text}"))
}

fn who(task: &Task, extension: &Extension) -> String {
    let number = one_line(&extension.0);
    match task.owners.names.get(&extension.0) {
        Some(name) => format!("{number} ({})", one_line(name)),
        None => number,
    }
}

fn day(task: &Task, at: Timestamp) -> Date {
    at.to_zoned(task.zone.clone()).date()
}

/// The time, and the date where it is another day than that of the call's start.
fn clock(task: &Task, day: Date, at: Timestamp) -> String {
    let at = at.to_zoned(task.zone.clone());
    let form = if at.date() == day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    at.strftime(form).to_string()
}
