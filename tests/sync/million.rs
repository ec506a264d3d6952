//! A load of a million contacts, with the memory that it takes. By hand, since the pretend org itself takes gigabytes:
//! `cargo test --release --test sync -- --ignored --nocapture million`.
//!
//! The pretend org is in the same process: what it takes to answer is in the peak, what it holds is told apart.

use std::time::Instant;

use serde_json::{Value, json};

use crate::desk::Desk;
use crate::load::number;

/// Kilobytes of a line of `/proc/self/status`.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and gigabytes"]
async fn a_million_contacts_are_loaded_in_little_memory() {
    let desk = Desk::open(json!({})).await;
    let mut made = 0;
    for thousand in 0..1000 {
        for n in 0..1000 {
            let n = thousand * 1000 + n;
            let row: Value = json!({ "LastName": format!("Contact {n}"), "Phone": number(n) });
            desk.salesforce.insert("Contact", &row).unwrap();
            made += 1;
        }
    }
    desk.later(600);
    let (before, calls, began) = (memory("VmRSS"), desk.salesforce.api_calls(), Instant::now());
    // The peak begins anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let running = desk.start();
    let end = Instant::now() + std::time::Duration::from_mins(20);
    while running.handle.status().synced_at.is_none() {
        assert!(Instant::now() < end, "{:?}", running.handle.status());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    println!(
        "{made} contacts in {:.1} s by {} API calls; {} MB before (the pretend org), {} MB at most, {} MB after; index: {:?}",
        began.elapsed().as_secs_f64(),
        desk.salesforce.api_calls() - calls,
        before / 1024,
        memory("VmHWM") / 1024,
        memory("VmRSS") / 1024,
        running.index.stats(),
    );
    assert_eq!(running.index.stats().records, made);
    running.stop().await;
}
