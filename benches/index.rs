//! The directory's index: what a look-up costs beside a plain hash table of the same run, what a number costs in memory, what a load
//! costs those who look up meanwhile, and how long a million contacts take from the disk.
//!
//! Three records in ten have two numbers, and five share an account. Ids count upwards, as those of an org do.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ctibridge::directory::index::Index;
use ctibridge::directory::row::{Change, Row};
use ctibridge::directory::snapshot;
use ctibridge::phone::NumberPlan;
use ctibridge::salesforce::RecordId;
use fastrand::Rng;
use hashbrown::HashMap;

const MILLION: u32 = 1_000_000;
/// With 1.3 numbers each, five million numbers.
const RECORDS: u32 = 3_846_154;
const BATCH: u32 = 2_000;
const LOOK_UPS: usize = 2_000_000;
const ROUNDS: usize = 5;

fn main() {
    let plan = NumberPlan::new("DE", "", "2-6").unwrap();
    let index = Index::new(plan.clone());
    let before = held();
    waits_while(&index, &plan, || load(&index, 0..MILLION));
    print_memory("a million contacts", &index, before);
    snapshots(&index, &plan);
    let began = Instant::now();
    load(&index, MILLION..RECORDS);
    println!("{:<60}{:>10.1} s", "the rest, nobody looking up", began.elapsed().as_secs_f64());
    print_memory("all", &index, before);
    look_ups(&index);
    whole_answers(&index, &plan);
}

fn load(index: &Index, records: std::ops::Range<u32>) {
    let mut from = records.start;
    while from < records.end {
        let to = (from + BATCH).min(records.end);
        index.apply((from..to).map(contact).map(Change::Put).collect());
        from = to;
    }
}

fn contact(nth: u32) -> Row {
    let mut phones = vec![("Phone".to_owned(), format!("+{}", number(nth)))];
    if has_two(nth) {
        phones.push(("MobilePhone".to_owned(), format!("+{}", second_number(nth))));
    }
    Row {
        object: "Contact".into(),
        id: id("003", nth),
        name: format!("Erika Mustermann {nth}"),
        account: Some(format!("Account of five {}", nth / 5)),
        account_id: Some(id("001", nth / 5)),
        owner_id: Some(id("005", nth % 200)),
        person_contact_id: None,
        phones,
    }
}

fn has_two(nth: u32) -> bool {
    nth % 10 < 3
}

/// Of Berlin, all different, in no order.
fn number(nth: u32) -> u64 {
    493_010_000_000 + u64::from(nth) * 7_919 % 80_000_000
}

fn second_number(nth: u32) -> u64 {
    498_910_000_000 + u64::from(nth) * 7_919 % 80_000_000
}

fn id(prefix: &str, nth: u32) -> RecordId {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut tail = [b'0'; 9];
    let mut rest = nth as usize;
    for place in tail.iter_mut().rev() {
        *place = DIGITS[rest % 62];
        rest /= 62;
    }
    RecordId::parse(&format!("{prefix}5g0{}", std::str::from_utf8(&tail).unwrap())).unwrap()
}

/// Loads, and looks up meanwhile, a thousand times a second.
fn waits_while(index: &Index, plan: &NumberPlan, load: impl FnOnce() + Send) {
    let asked = plan.read(&format!("+{}", number(7)));
    let began = Instant::now();
    let mut times = std::thread::scope(|scope| {
        let loading = scope.spawn(load);
        let mut times = Vec::new();
        while !loading.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
            let began = Instant::now();
            black_box(index.find(&asked));
            times.push(began.elapsed());
        }
        times
    });
    println!("{:<60}{:>10.1} s", "a million contacts taken in, looked up meanwhile", began.elapsed().as_secs_f64());
    times.sort();
    let at = |permille: usize| times[(times.len() - 1) * permille / 1000].as_secs_f64() * 1e6;
    let (p50, p99, p999, worst) = (at(500), at(990), at(999), at(1000));
    println!("{:<60}{p50:>10.0} p50 {p99:.0} p99 {p999:.0} p99.9 {worst:.0} max µs", "  a whole answer meanwhile");
}

fn print_memory(name: &str, index: &Index, before: f64) {
    let (stats, memory) = (index.stats(), index.memory());
    let each = |bytes: u64| float(bytes) / float(stats.numbers);
    println!("{name}: {} records, {} numbers", stats.records, stats.numbers);
    println!("{:<60}{:>10.1} bytes a number", "  from a number to the ids of its records", each(memory.numbers));
    println!("{:<60}{:>10.1} bytes a number", "  from an id to its record, for changes", each(memory.ids));
    println!("{:<60}{:>10.1} bytes a number", "  names, accounts, owners", each(memory.details));
    println!("{:<60}{:>10.1} MiB", "  all of it as it counts itself", float(stats.bytes) / f64::from(1 << 20));
    println!("{:<60}{:>10.1} MiB", "  by which the process grew", held() - before);
}

fn snapshots(index: &Index, plan: &NumberPlan) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory");
    let began = Instant::now();
    snapshot::save(&path, index, b"").unwrap();
    let megabytes = float(std::fs::metadata(&path).unwrap().len()) / f64::from(1 << 20);
    println!("{:<60}{:>10.0} ms, {megabytes:.1} MiB", "snapshot saved and synced", began.elapsed().as_secs_f64() * 1e3);
    let (mut best, mut least) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        let loaded = Index::new(plan.clone());
        let (began, before) = (Instant::now(), processor_time());
        snapshot::load(&path, &loaded).unwrap();
        assert_eq!(loaded.find(&plan.read(&format!("+{}", number(77))))[0].id, id("003", 77));
        best = best.min(began.elapsed());
        least = least.min(processor_time().saturating_sub(before));
    }
    let (best, least) = (best.as_secs_f64() * 1e3, least.as_secs_f64() * 1e3);
    println!("{:<60}{best:>10.0} ms", "snapshot read, verified and looked up in (best of 5)");
    println!("{:<60}{least:>10.0} ms", "  processor time of that, both threads");
}

fn look_ups(index: &Index) {
    let mut plain: HashMap<u64, u32> = HashMap::new();
    for nth in 0..RECORDS {
        plain.insert(number(nth), nth);
        if has_two(nth) {
            plain.insert(second_number(nth), nth);
        }
    }
    let mut random = Rng::with_seed(1);
    let hits: Vec<u64> = (0..LOOK_UPS).map(|_| number(random.u32(0..RECORDS))).collect();
    let misses: Vec<u64> = hits.iter().map(|number| number + 1_000_000_000).collect();
    println!("{:<44}{:>12}{:>12}{:>8}", "ns of processor time, best of 5", "index", "hashbrown", "ratio");
    for (name, numbers, found) in [("hit, with the record's id", &hits, LOOK_UPS), ("miss", &misses, 0)] {
        let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            ours = ours.min(time(numbers, found, |number| {
                let mut count = 0;
                index.each_id(number, |id| {
                    black_box(id);
                    count += 1;
                });
                count
            }));
            theirs = theirs.min(time(numbers, found, |number| usize::from(black_box(plain.get(&number)).is_some())));
        }
        println!("{name:<44}{ours:>12.0}{theirs:>12.0}{:>8.2}", ours / theirs);
    }
}

/// Nanoseconds of one, of the processor's time: what other programs take is not counted.
fn time(numbers: &[u64], found: usize, mut look: impl FnMut(u64) -> usize) -> f64 {
    let before = thread_time();
    let count: usize = numbers.iter().map(|&number| look(number)).sum();
    let took = thread_time().saturating_sub(before);
    assert_eq!(count, found);
    took.as_secs_f64() * 1e9 / float(numbers.len() as u64)
}

/// With all spellings, the ranking and the texts of the match.
fn whole_answers(index: &Index, plan: &NumberPlan) {
    let mut random = Rng::with_seed(2);
    let numbers: Vec<_> = (0..100_000).map(|_| plan.read(&format!("+{}", number(random.u32(0..RECORDS))))).collect();
    let began = Instant::now();
    for number in &numbers {
        assert_eq!(black_box(index.find(number)).len(), 1);
    }
    println!("{:<44}{:>12.0}", "a whole answer", began.elapsed().as_secs_f64() * 1e9 / float(numbers.len() as u64));
}

/// What this thread had of a processor (proc(5), schedstat).
fn thread_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// What this process had of all processors, in hundredths of a second (proc(5), stat: utime and stime).
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// `VmRSS` of this process in MiB (proc(5)).
fn held() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("no more than 4 GiB"))
}
