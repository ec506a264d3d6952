//! Every caller of an org as they are, in ten formats: those who have the number are found, and nobody else.

use std::collections::BTreeSet;

use ctibridge::directory::Directory;
use ctibridge::directory::answer::{Exactness, Match};
use ctibridge::sim::{Options, PhoneTokens, Seed};

use crate::desk::Desk;
use crate::people::{Holders, people};

/// `CTIBRIDGE_TEST_RECORDS=200000` for more.
const RECORDS: usize = 6_000;
/// Callers that are looked up by a search, too.
const SEARCHED: usize = 150;

fn records() -> usize {
    #[expect(clippy::disallowed_methods, reason = "how long the test may take is not a setting of the program")]
    std::env::var("CTIBRIDGE_TEST_RECORDS").ok().and_then(|count| count.parse().ok()).unwrap_or(RECORDS)
}

#[derive(Default, Debug)]
struct Score {
    asked: usize,
    right: usize,
    missed: usize,
    wrong: usize,
    /// Matches that a search cannot find, by the words that the pretend org cuts texts into.
    hidden: usize,
}

impl Score {
    /// `by_search`: where it is not known how Salesforce cuts a text into words, what has more in it than the number may be missed.
    fn add(&mut self, found: &[Match], holders: &Holders, by_search: bool, what: &str) {
        let with = |exactness: Exactness| -> BTreeSet<String> {
            let found = found.iter().filter(|found| found.exactness == exactness);
            found.map(|found| found.id.as_str()[..15].to_owned()).collect()
        };
        self.asked += 1;
        let possible: BTreeSet<String> = holders.possible.difference(&holders.exact).cloned().collect();
        for (found, truth) in [(with(Exactness::Exact), &holders.exact), (with(Exactness::Possible), &possible)] {
            let hard = |id: &&String| by_search && holders.beside_more.contains(*id);
            let (hidden, missed): (Vec<&String>, Vec<&String>) = truth.difference(&found).partition(hard);
            let (missed, wrong) = (missed.len(), found.difference(truth).count());
            self.hidden += hidden.len();
            if missed + wrong > 0 && self.missed + self.wrong < 10 {
                println!("{what}: found {found:?}, and it is {truth:?}");
            }
            self.right += found.intersection(truth).count();
            self.missed += missed;
            self.wrong += wrong;
        }
    }

    fn assert_perfect(&self, how: &str) {
        let count = |rows: usize| f64::from(u32::try_from(rows).unwrap());
        let percent = |part: usize, rest: usize| 100.0 * count(part) / count((part + rest).max(1));
        println!(
            "{how}: {} look-ups, {} matches, precision {:.3} %, recall {:.3} %; {} beside other numbers not searched for",
            self.asked,
            self.right,
            percent(self.right, self.wrong),
            percent(self.right, self.missed),
            self.hidden
        );
        assert!(self.right > 0 && self.missed == 0 && self.wrong == 0, "{how}: {self:?}");
    }
}

#[tokio::test]
async fn every_caller_is_found_in_ten_formats_and_nobody_else() {
    for region in ["US", "DE"] {
        let people = people(region, records(), 42);
        println!("{region}: {} numbers, {:?}", people.truth.len(), people.counts);
        let options = Options { seed: Seed::from_value(people.seed).unwrap(), ..Options::default() };
        let mut desk = Desk::with(options, region, "").await;
        desk.settings.directory.refresh = std::time::Duration::from_hours(1);
        let running = desk.started().await;
        let mut score = Score::default();
        for (number, holders) in &people.truth {
            for text in number.presented(region) {
                let read = desk.plan().read(&text);
                assert_eq!(read.e164(), Some(number.e164().as_str()), "{text}");
                score.add(&running.index.find(&read), holders, false, &number.e164());
            }
        }
        score.assert_perfect(&format!("{region} by the index"));
        for tokens in [PhoneTokens::ExactDigits, PhoneTokens::Suffix] {
            desk.salesforce.set(|knobs| knobs.phone_tokens = tokens);
            let mut config = desk.settings.directory.clone();
            config.mode = ctibridge::directory::Mode::Live;
            let live = Directory::new(desk.client(), desk.plan(), config);
            let mut score = Score::default();
            let step = people.truth.len() / SEARCHED + 1;
            for (number, holders) in people.truth.iter().step_by(step) {
                let read = desk.plan().read(&number.e164());
                let answer = live.find_surely(&read, crate::desk::SOON).await.unwrap();
                score.add(&answer.matches, holders, true, &number.e164());
            }
            score.assert_perfect(&format!("{region} by search, {tokens:?}"));
        }
        running.stop().await;
    }
}
