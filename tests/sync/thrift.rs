//! What a day costs in API calls, at the org's own counter.
//!
//! A day is 1,440 polls at `refresh = "60s"`. Here the minute is 10 ms long, which changes nothing but the time that passes between two
//! polls; calls of a day are looked up and people are edited in the same proportion.

use std::time::Duration;

use ctibridge::directory::{Directory, Mode};
use serde_json::{Value, json};

use crate::desk::{Desk, text};
use crate::load::number;

const POLLS: u64 = 1440;
const CALLS: usize = 5000;
const EDITS: usize = 300;

#[tokio::test]
async fn a_day_of_five_thousand_calls_costs_a_call_a_minute_and_none_for_look_ups() {
    let rows: Vec<Value> = (0..2000).map(|n| json!({ "LastName": format!("C{n}"), "Phone": number(n) })).collect();
    let mut desk = Desk::open(json!({ "Contact": rows })).await;
    desk.settings.directory.refresh = Duration::from_millis(10);
    let before = desk.salesforce.api_calls();
    let running = desk.start();
    running.until("the first load", |status| status.synced_at.is_some()).await;
    let ids: Vec<String> = desk.salesforce.rows("Contact").iter().map(|row| text(row, "Id").to_owned()).collect();
    let (mut looked_up, mut edited, mut found) = (0, 0, 0);
    while running.handle.status().polls < POLLS {
        // As much of the day is over as polls have been made.
        let share = |of: usize| usize::try_from(running.handle.status().polls * of as u64 / POLLS).unwrap();
        while looked_up < share(CALLS) {
            looked_up += 1;
            found += running.index.find(&desk.plan().read(&number(looked_up * 7 % 2500))).len();
        }
        while edited < share(EDITS) {
            edited += 1;
            desk.salesforce.edit("Contact", &ids[edited % 2000], &json!({ "Title": format!("T{edited}") })).unwrap();
            desk.later(288);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (polls, calls) = (running.handle.status().polls, desk.salesforce.api_calls() - before);
    running.stop().await;
    let others = calls.saturating_sub(polls);
    println!(
        "a day: {looked_up} look-ups ({found} found), {edited} edits; {calls} API calls: {polls} polls + {others} others"
    );
    assert!(looked_up > CALLS * 9 / 10 && found > looked_up / 2);
    assert!(others <= 30, "{others} others");

    // The other way, with one search for each call.
    let mut config = desk.settings.directory.clone();
    config.mode = Mode::Live;
    let live = Directory::new(desk.client(), desk.plan(), config);
    let before = desk.salesforce.api_calls();
    for n in 0..200 {
        live.find_surely(&desk.plan().read(&number(n)), crate::desk::SOON).await.unwrap();
    }
    let searches = desk.salesforce.api_calls() - before;
    println!(
        "one search for each call: {searches} API calls for 200 calls, {} for a day",
        searches * CALLS as u64 / 200
    );
}
