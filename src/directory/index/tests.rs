//! The index against what live matching says of the same texts.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use fastrand::Rng;

use super::super::row::{Change, Row};
use super::super::snapshot::{self, SnapshotError};
use super::*;

fn plan(region: &str) -> NumberPlan {
    NumberPlan::new(region, "", "2-6").unwrap()
}

fn id(prefix: &str, number: u32) -> RecordId {
    RecordId::parse(&format!("{prefix}xx{number:010}")).unwrap()
}

fn contact(number: u32, phones: &[(&str, &str)]) -> Row {
    Row {
        object: "Contact".into(),
        id: id("003", number),
        name: format!("Name {number}"),
        account: None,
        account_id: None,
        owner_id: None,
        person_contact_id: None,
        phones: phones.iter().map(|(field, text)| ((*field).into(), (*text).into())).collect(),
    }
}

fn names(found: &[Match]) -> Vec<&str> {
    found.iter().map(|found| found.name.as_str()).collect()
}

/// What live matching would say of these records.
fn live(plan: &NumberPlan, rows: &BTreeMap<RecordId, Row>, number: &PhoneNumber) -> Vec<Match> {
    let wanted = Wanted::new(number);
    let candidates = rows.values().filter_map(|row| {
        let fits = row.phones.iter().filter_map(|(field, text)| Some((wanted.fit(plan, text)?, field)));
        let (fit, field) = fits.min_by_key(|(fit, _)| *fit)?;
        let found = Match {
            object: row.object.clone(),
            id: row.id.clone(),
            name: row.name.clone(),
            account: row.account.clone(),
            account_id: row.account_id.clone(),
            owner_id: row.owner_id.clone(),
            person_contact_id: row.person_contact_id.clone(),
            field: field.clone(),
            exactness: fit.exactness(),
            group: 0,
            class: 0,
            reason: String::new(),
        };
        Some(Candidate { fit, found })
    });
    rank::ranked(candidates.collect())
}

/// Few numbers, so that many records share one: of Berlin, of Munich, mobiles, of San Francisco, of Paris.
const NUMBERS: [(&str, &str, &str); 5] =
    [("49", "0", "3023125"), ("49", "0", "8923125"), ("49", "0", "1701234"), ("1", "", "415555"), ("33", "0", "14020")];

fn digits(random: &mut Rng) -> (&'static str, &'static str, String) {
    let (country, trunk, start) = NUMBERS[random.usize(0..NUMBERS.len())];
    let length = if country == "33" { 9 } else { 10 };
    let rest = length - start.len();
    (country, trunk, format!("{start}{:0rest$}", random.u32(0..12)))
}

/// A number as somebody may have typed it: right, foreign, short of something, damaged, or no number.
fn spelling(random: &mut Rng) -> String {
    let (country, trunk, national) = digits(random);
    let (head, tail) = national.split_at(3);
    match random.u8(0..20) {
        0 => format!("+{country}{national}"),
        1 => format!("+{country} {head} {tail}"),
        2 => format!("+{country} ({trunk}){head} {tail}"),
        3 => format!("00{country} {national}"),
        4 => format!("011 {country} {national}"),
        5 => format!("{trunk}{national}"),
        6 => format!("({trunk}{head}) {tail}"),
        7 => format!("{trunk}{head}/{tail}"),
        8 => format!("{trunk}{head} / {tail}"),
        9 => format!("{country}{national}"),
        10 => national,
        11 => tail.to_owned(),
        12 => format!("Mobile: {trunk}{head}-{tail}"),
        13 => format!("{trunk}{head} {tail} (home)"),
        14 => format!("{trunk}{head}.{tail} x{}", random.u8(1..4)),
        15 => format!("+{country}{national};ext={}", random.u8(1..4)),
        16 => format!("{} / {}", spelling(random), spelling(random)),
        17 => format!("{}; {}", spelling(random), spelling(random)),
        18 => format!("00{country}{trunk}{national}"),
        _junk => ["n/a", "none", "000-0000", "a@b.example", "0", "4.15556E+09", "+", "12345", "*"][random.usize(0..9)]
            .to_owned(),
    }
}

fn any_row(random: &mut Rng) -> Row {
    let (object, prefix) =
        [("Contact", "003"), ("Lead", "00Q"), ("Account", "001"), ("Asset__c", "a0B")][random.usize(0..4)];
    let number = random.u32(0..60);
    let fields = ["Phone", "MobilePhone", "HomePhone"];
    let filled = fields.iter().filter(|_| random.u8(0..3) > 0).collect::<Vec<_>>();
    let account = (object == "Contact" && random.bool()).then(|| random.u32(0..20));
    Row {
        object: object.into(),
        // One id in ten begins like no other.
        id: if random.u8(0..10) == 0 {
            RecordId::parse(&format!("{prefix}{number:04}00000000")).unwrap()
        } else {
            id(prefix, number)
        },
        name: format!("{} {number}", ["anna", "Zoe", "Émile", ""][random.usize(0..4)]),
        account: match account {
            Some(account) => Some(format!("Account {account}")),
            None => (object == "Lead").then(|| "Company".into()),
        },
        account_id: account.map(|account| id("001", 900 + account)),
        owner_id: random.bool().then(|| id("005", random.u32(0..5))),
        person_contact_id: (object == "Account" && random.bool()).then(|| id("003", random.u32(0..300))),
        phones: filled.into_iter().map(|field| ((*field).to_owned(), spelling(random))).collect(),
    }
}

fn assert_same(index: &Index, plan: &NumberPlan, rows: &BTreeMap<RecordId, Row>, random: &mut Rng) {
    for _ in 0..25 {
        let (country, _, national) = digits(random);
        let extension = ["", "", ";ext=1", ";ext=2"][random.usize(0..4)];
        let number = plan.read(&format!("+{country}{national}{extension}"));
        assert_eq!(index.find(&number), live(plan, rows, &number), "+{country}{national}{extension}");
    }
}

#[test]
fn the_index_finds_what_live_matching_accepts_through_a_storm_of_changes() {
    for (seed, region) in [(1, "DE"), (2, "US"), (3, "FR")] {
        let (plan, mut random) = (plan(region), Rng::with_seed(seed));
        let (index, mut rows) = (Index::new(plan.clone()), BTreeMap::new());
        for _ in 0..3 {
            let mut changes = Vec::new();
            for _ in 0..150 {
                let row = any_row(&mut random);
                if random.u8(0..4) == 0 {
                    rows.remove(&row.id);
                    changes.push(Change::Gone(row.id));
                } else {
                    rows.insert(row.id.clone(), row.clone());
                    changes.push(Change::Put(row));
                }
            }
            index.apply(changes.clone());
            assert_same(&index, &plan, &rows, &mut random);
            let stats = index.stats();
            index.apply(rows.values().cloned().map(Change::Put).collect());
            assert_eq!(
                Stats { bytes: 0, ..index.stats() },
                Stats { bytes: 0, ..stats },
                "the same once more changes nothing"
            );
        }
        let filled = rows.values().filter(|row| !row.phones.is_empty());
        assert_eq!(index.stats().records, filled.count() as u64);
        for object in ["Contact", "Lead", "Account", "Asset__c", "Case"] {
            let mut ids = index.ids(object);
            ids.sort();
            let filled = rows.values().filter(|row| row.object == object && !row.phones.is_empty());
            assert_eq!(ids, filled.map(|row| row.id.clone()).collect::<Vec<_>>());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory");
        snapshot::save(&path, &index, b"state").unwrap();
        let loaded = Index::new(plan.clone());
        assert_eq!(snapshot::load(&path, &loaded).unwrap(), b"state");
        assert_same(&loaded, &plan, &rows, &mut random);
        let (before, after) = (index.stats(), loaded.stats());
        assert_eq!(Stats { bytes: 0, ..before }, Stats { bytes: 0, ..after });
        index.apply(rows.into_keys().map(Change::Gone).collect());
        assert_eq!(Stats { bytes: 0, ..index.stats() }, Stats::default());
    }
}

#[test]
fn an_account_has_a_new_name_for_all_its_contacts_at_once() {
    let index = Index::new(plan("DE"));
    let of_acme = |number: u32| Row {
        account: Some("Acme".into()),
        account_id: Some(id("001", 1)),
        ..contact(number, &[("Phone", "030 231250444")])
    };
    index.apply(vec![Change::Put(of_acme(1)), Change::Put(of_acme(2))]);
    let accounts = |name: &str| {
        let found = index.find(&plan("DE").read("+4930231250444"));
        assert_eq!(found.iter().map(|found| found.account.as_deref()).collect::<Vec<_>>(), [Some(name), Some(name)]);
    };
    accounts("Acme");
    index.apply(vec![Change::Renamed { account: id("001", 1), name: "Acme & Sons".into() }]);
    accounts("Acme & Sons");
    let account = Row { object: "Account".into(), id: id("001", 1), name: "Acme AG".into(), ..contact(1, &[]) };
    index.apply(vec![Change::Put(account)]);
    accounts("Acme AG");
}

#[test]
fn numbers_without_a_country_and_junk_are_counted() {
    let index = Index::new(plan("DE"));
    index.apply(vec![
        Change::Put(contact(1, &[("Phone", "14155550143"), ("MobilePhone", "n/a")])),
        Change::Put(contact(2, &[("Phone", "none")])),
        Change::Put(contact(3, &[("Phone", "030 231250444 / 0170 1234567")])),
    ]);
    let stats = index.stats();
    assert_eq!((stats.numbers, stats.records, stats.possible_only, stats.junk), (3, 3, 1, 2));
    let found = index.find(&plan("DE").read("+14155550143"));
    assert_eq!(found[0].reason, "Phone has these digits, and no country with them");
    assert_eq!(index.ids("Contact").len(), 3, "a record without a number is known, too");
}

#[test]
fn of_a_number_that_thousands_share_the_same_ones_are_found_whatever_moved() {
    let index = Index::new(plan("DE"));
    let all: Vec<_> = (0..3_000).map(|number| Change::Put(contact(number, &[("Phone", "030 231250444")]))).collect();
    index.apply(all.iter().rev().cloned().collect());
    let number = plan("DE").read("+4930231250444");
    let first = index.find(&number);
    assert_eq!(first.len(), 1_000);
    for number in 0..3_000 {
        index.apply(vec![Change::Put(contact(number, &[("HomePhone", "+49 30 231250444")]))]);
    }
    let second = index.find(&number);
    assert_eq!(names(&first), names(&second));
    let last = id("003", 2_999);
    assert!(index.candidates(&number, Some(&last)).iter().any(|candidate| candidate.found.id == last));
}

#[test]
fn memory_of_what_has_changed_is_used_again() {
    let index = Index::new(plan("DE"));
    let put = |round: u32| {
        let phones = |number: u32| format!("+49 30 {:07}", number * 7 + round);
        (0..3_000).map(|number| Change::Put(contact(number, &[("Phone", &phones(number))]))).collect()
    };
    index.apply(put(0));
    let once = index.stats().bytes;
    (1..30).for_each(|round| index.apply(put(round)));
    assert!(index.stats().bytes < once + once / 2, "{once} bytes became {}", index.stats().bytes);
}

#[test]
fn a_snapshot_that_is_torn_or_of_another_version_or_plan_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory");
    let (german, austrian) = (Index::new(plan("DE")), Index::new(plan("AT")));
    let load = |plan: &str| snapshot::load(&path, if plan == "DE" { &german } else { &austrian });
    assert!(matches!(load("DE"), Err(SnapshotError::Missing)));
    let index = Index::new(plan("DE"));
    index.apply((1..3).map(|n| Change::Put(contact(n, &[("Phone", "+49 30 231250444")]))).collect());
    snapshot::save(&path, &index, b"state").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(load("AT"), Err(SnapshotError::OtherPlan)));
    let whole = std::fs::read(&path).unwrap();
    german.apply(vec![Change::Put(contact(9, &[("Phone", "+49 89 2312501")]))]);
    for end in 0..whole.len() {
        std::fs::write(&path, &whole[..end]).unwrap();
        assert!(matches!(load("DE"), Err(SnapshotError::Torn)), "{end}");
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(load("DE").is_err(), "{at}");
    }
    std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    assert!(matches!(load("DE"), Err(SnapshotError::Torn)));
    let other: Vec<u8> = [&whole[..15], b"\x02", &whole[16..]].concat();
    std::fs::write(&path, other).unwrap();
    assert!(matches!(load("DE"), Err(SnapshotError::OtherVersion)));
    assert_eq!(german.stats().records, 1, "what cannot be used changes nothing");
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(load("DE").unwrap(), b"state");
    assert_eq!(german.stats().records, 2);
}

#[test]
fn look_ups_go_on_while_thousands_change() {
    let index = Index::new(plan("DE"));
    let steady = Change::Put(contact(0, &[("Phone", "030 231250444")]));
    index.apply(vec![steady]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..4 {
                let phone = |n: u32| format!("030 2312{:05}", n * 4 + round);
                index.apply((1..3_000).map(|n| Change::Put(contact(n, &[("Phone", &phone(n + 90_000))]))).collect());
            }
        });
        while !writer.is_finished() {
            assert_eq!(names(&index.find(&plan("DE").read("+4930231250444"))), ["Name 0"]);
        }
    });
}
