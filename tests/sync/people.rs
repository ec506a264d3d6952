//! Orgs as they are: numbers as people type them, with the truth of who has which number.
//!
//! The truth is made with the text, from the parts of a number, by nothing of the program's own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A number by its parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    country: &'static str,
    area: &'static str,
    rest: String,
}

/// What is typed before the area code within the country.
fn trunk(country: &str) -> &'static str {
    if country == "1" { "" } else { "0" }
}

/// Area codes of each country, and how many digits follow.
const AREAS: [(&str, &[(&str, usize)]); 3] = [
    ("1", &[("212", 7), ("312", 7), ("415", 7), ("404", 7)]),
    ("49", &[("30", 8), ("40", 8), ("89", 8), ("221", 7), ("69", 8), ("170", 7), ("151", 8)]),
    ("44", &[("20", 8), ("161", 7)]),
];

impl Number {
    fn draw(chance: &mut fastrand::Rng, country: &'static str) -> Self {
        let areas = AREAS.iter().find(|(code, _)| *code == country).unwrap().1;
        let (area, digits) = *chance.choice(areas).unwrap();
        let mut rest: String = (1..digits).map(|_| chance.digit(10)).collect();
        // Numbers of a town begin with 2 to 9; in America the next two are not both 1, in London 7 or 8 come first.
        let first =
            if country == "44" && area == "20" { chance.choice(['7', '8']).unwrap() } else { chance.char('2'..='9') };
        rest.insert(0, first);
        if country == "1" && rest[1..3] == *"11" {
            rest.replace_range(1..3, "34");
        }
        Self { country, area, rest }
    }

    pub fn e164(&self) -> String {
        format!("+{}{}{}", self.country, self.area, self.rest)
    }

    fn national(&self) -> String {
        format!("{}{}{}", trunk(self.country), self.area, self.rest)
    }

    /// As people at home write it.
    fn at_home(&self, chance: &mut fastrand::Rng) -> String {
        let (area, rest) = (self.area, &self.rest);
        if self.country == "1" {
            let (head, tail) = rest.split_at(3);
            return match chance.u8(..100) {
                0..52 => format!("({area}) {head}-{tail}"),
                52..70 => format!("{area}{rest}"),
                70..84 => format!("{area}-{head}-{tail}"),
                84..90 => format!("{area}.{head}.{tail}"),
                90..95 => format!("1-{area}-{head}-{tail}"),
                _ => format!("1 ({area}) {head}-{tail}"),
            };
        }
        let (head, tail) = rest.split_at(4);
        match chance.u8(..6) {
            0 => format!("0{area} {rest}"),
            1 => format!("0{area}/{rest}"),
            2 => format!("(0{area}) {head} {tail}"),
            3 => format!("0{area}{rest}"),
            4 => format!("0{area}-{head}{tail}"),
            _ => format!("0{area} / {head} {tail}"),
        }
    }

    /// As people elsewhere write it.
    fn abroad(&self, chance: &mut fastrand::Rng) -> String {
        let (country, area, rest) = (self.country, self.area, &self.rest);
        let (head, tail) = rest.split_at(3);
        match chance.u8(..100) {
            0..45 => format!("+{country} {area} {rest}"),
            45..65 => self.e164(),
            65..80 if country != "1" => format!("+{country} (0){area} {rest}"),
            80..90 => format!("+{country}-{area}-{head}-{tail}"),
            _ => format!("+{country} {area} {head} {tail}"),
        }
    }

    /// In ten ways that a phone system may present it at a site of this region.
    pub fn presented(&self, region: &str) -> [String; 10] {
        let (country, area, rest, e164) = (self.country, self.area, &self.rest, self.e164());
        let (prefix, own) = if region == "US" { ("011", "1") } else { ("00", "49") };
        let dialed = if country == own { self.national() } else { format!("{prefix}{country}{area}{rest}") };
        [
            e164.clone(),
            dialed.clone(),
            format!("sip:{e164}@pbx.example;user=phone"),
            format!("sip:{dialed}@10.0.0.1:5060"),
            format!("tel:+{country}-{area}-{rest}"),
            format!("+{country} {area} {rest}"),
            format!(" {dialed} "),
            format!("sips:%2B{country}{area}{rest}@pbx.example"),
            format!("+{country} ({area}) {rest}"),
            if country == own && country == "1" { format!("1{dialed}") } else { format!("{dialed};npdi=yes") },
        ]
    }
}

/// Who has a number: for sure, or where the text does not say the country.
#[derive(Debug, Default, Clone)]
pub struct Holders {
    pub exact: BTreeSet<String>,
    pub possible: BTreeSet<String>,
    /// Of those for sure: whose text has more in it than this number, so that a search may not find it.
    pub beside_more: BTreeSet<String>,
}

pub struct People {
    pub seed: Value,
    pub truth: BTreeMap<Number, Holders>,
    pub counts: BTreeMap<&'static str, usize>,
}

struct Maker {
    chance: fastrand::Rng,
    home: &'static str,
    foreign: [&'static str; 2],
    truth: BTreeMap<Number, Holders>,
    counts: BTreeMap<&'static str, usize>,
    ids: u64,
}

/// So many records of an org in this region: contacts, their accounts, leads.
pub fn people(region: &str, records: usize, seed: u64) -> People {
    let (home, foreign) = if region == "US" { ("1", ["49", "44"]) } else { ("49", ["44", "1"]) };
    let chance = fastrand::Rng::with_seed(seed);
    let mut maker = Maker { chance, home, foreign, truth: BTreeMap::new(), counts: BTreeMap::new(), ids: 0 };
    let (mut accounts, mut contacts, mut leads) = (Vec::new(), Vec::new(), Vec::new());
    let mut households: Vec<Number> = Vec::new();
    for _account in 0..records / 10 {
        let id = maker.id("001");
        let main = maker.number();
        let text = maker.typed(&main, &id);
        accounts.push(json!({ "Id": id, "Name": format!("Firm {}", maker.ids), "Phone": text }));
        for _contact in 0..7 {
            let contact = maker.contact(&id, &main, &mut households);
            if maker.chance.u8(..100) == 0 {
                // The same person once more, as a lead.
                let number = maker.chance.choice(maker.truth.keys().collect::<Vec<_>>()).unwrap().clone();
                leads.push(maker.lead(&number, "duplicate"));
            }
            contacts.push(contact);
        }
        for _lead in 0..2 {
            let number = maker.number();
            leads.push(maker.lead(&number, "lead"));
        }
    }
    let seed = json!({ "Account": accounts, "Contact": contacts, "Lead": leads });
    People { seed, truth: maker.truth, counts: maker.counts }
}

impl Maker {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Of 15 characters; the org adds the others.
    fn id(&mut self, prefix: &str) -> String {
        self.ids += 1;
        format!("{prefix}gL1{:09}", self.ids)
    }

    fn number(&mut self) -> Number {
        let country = if self.chance.u8(..100) < 5 { *self.chance.choice(&self.foreign).unwrap() } else { self.home };
        Number::draw(&mut self.chance, country)
    }

    fn contact(&mut self, account: &str, main: &Number, households: &mut Vec<Number>) -> Value {
        let id = self.id("003");
        let mut row = Map::new();
        row.insert("Id".into(), id.clone().into());
        row.insert("LastName".into(), format!("Person {}", self.ids).into());
        row.insert("AccountId".into(), account.into());
        let number = match self.chance.u16(..1000) {
            0..30 => {
                self.count("the account's main number");
                main.clone()
            }
            30..35 if !households.is_empty() => {
                self.count("household");
                self.chance.choice(&*households).unwrap().clone()
            }
            _ => self.number(),
        };
        households.push(number.clone());
        let text = self.typed(&number, &id);
        row.insert("Phone".into(), text.into());
        if self.chance.u8(..100) < 30 {
            let mobile = self.number();
            let text = self.typed(&mobile, &id);
            row.insert("MobilePhone".into(), text.into());
        }
        row.into()
    }

    fn lead(&mut self, number: &Number, what: &'static str) -> Value {
        self.count(what);
        let id = self.id("00Q");
        let text = self.typed(number, &id);
        json!({ "Id": id, "LastName": format!("Lead {}", self.ids), "Company": "Lead Inc", "Phone": text })
    }

    /// What somebody types for this number; who holds it is noted.
    fn typed(&mut self, number: &Number, id: &str) -> String {
        let is_home = number.country == self.home;
        match self.chance.u8(..100) {
            0..4 => {
                self.count("junk");
                let junk =
                    ["n/a", "none", "000-0000", "call me", "erika@example.com", "-", "0", "4.15556E+09", "5551212"];
                return (*self.chance.choice(&junk).unwrap()).to_owned();
            }
            4..6 => {
                self.count("two numbers in a field");
                let other = Number::draw(&mut self.chance, self.home);
                let between = *self.chance.choice(&[" / ", "; ", ", ", " or "]).unwrap();
                let (first, second) = (number.abroad(&mut self.chance), other.abroad(&mut self.chance));
                for number in [number, &other] {
                    self.hold(number, id);
                    self.note_more(number, id);
                }
                return format!("{first}{between}{second}");
            }
            6..10 => {
                self.count("extension");
                self.hold(number, id);
                self.note_more(number, id);
                let text = if is_home { number.at_home(&mut self.chance) } else { number.abroad(&mut self.chance) };
                let extension = self.chance.u16(10..9999);
                let word = *self.chance.choice(&["x", "ext. ", "ext "]).unwrap();
                return format!("{text} {word}{extension}");
            }
            10..40 if !is_home && number.country != "1" && self.home == "1" => {
                self.count("no country");
                let holders = self.truth.entry(number.clone()).or_default();
                holders.possible.insert(id.to_owned());
                return number.national();
            }
            _ => {}
        }
        self.hold(number, id);
        if is_home && self.chance.u8(..100) < 75 {
            self.count("national");
            number.at_home(&mut self.chance)
        } else {
            self.count("international");
            number.abroad(&mut self.chance)
        }
    }

    fn note_more(&mut self, number: &Number, id: &str) {
        self.truth.entry(number.clone()).or_default().beside_more.insert(id.to_owned());
    }

    fn hold(&mut self, number: &Number, id: &str) {
        self.truth.entry(number.clone()).or_default().exact.insert(id.to_owned());
    }
}
