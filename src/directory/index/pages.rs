//! A hash table from a hash to places, in six bytes an entry: 65,536 sorted pages, which grow one by one and are never rehashed.
//!
//! The upper 16 bits of a hash choose the page, the next 16 are kept; whoever asks checks at the place whether it is what he means.

/// The kept bits of the hash, then the place, so that entries sort as their bytes do.
type Entry = [u8; 6];

const PAGES: usize = 1 << 16;
/// What a heap block costs beside its content.
const BLOCK: usize = 16;

pub(super) struct Pages {
    pages: Box<[Vec<Entry>]>,
    len: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self { pages: vec![Vec::new(); PAGES].into(), len: 0 }
    }
}

impl Pages {
    /// All places under a hash that is the same in 32 bits.
    pub fn get(&self, hash: u64) -> impl Iterator<Item = u32> {
        let (page, kept) = (self.pages.get(number(hash)).map_or(&[][..], Vec::as_slice), kept(hash));
        let from = lower_bound(page, entry(hash, 0));
        let behind = page.get(from..).unwrap_or_default().iter();
        behind
            .take_while(move |[high, low, ..]| [*high, *low] == kept)
            .map(|[_, _, place @ ..]| u32::from_be_bytes(*place))
    }

    pub fn insert(&mut self, hash: u64, place: u32) {
        let Some(page) = self.pages.get_mut(number(hash)) else { return };
        let entry = entry(hash, place);
        let at = lower_bound(page, entry);
        if page.get(at) == Some(&entry) {
            return;
        }
        if page.len() == page.capacity() {
            // Growth by an eighth wastes less memory than by a half, and a page is small.
            page.reserve_exact((page.len() / 8).max(2));
        }
        page.insert(at, entry);
        self.len += 1;
    }

    pub fn remove(&mut self, hash: u64, place: u32) {
        let Some(page) = self.pages.get_mut(number(hash)) else { return };
        let entry = entry(hash, place);
        let at = lower_bound(page, entry);
        if page.get(at) == Some(&entry) {
            page.remove(at);
            self.len -= 1;
        }
        if page.capacity() > 16 && page.capacity() / 2 > page.len() {
            page.shrink_to_fit();
        }
    }

    /// A table of many entries at once. `each` is called twice and tells all of them both times, in any
    /// order; what it tells twice counts once.
    pub fn build(each: impl Fn(&mut dyn FnMut(u64, u32))) -> Self {
        let mut counts = vec![0_u32; PAGES];
        each(&mut |hash, _| {
            if let Some(count) = counts.get_mut(number(hash)) {
                *count += 1;
            }
        });
        let mut pages: Box<[Vec<Entry>]> = counts.iter().map(|&count| Vec::with_capacity(count as usize)).collect();
        each(&mut |hash, place| {
            if let Some(page) = pages.get_mut(number(hash)) {
                page.push(entry(hash, place));
            }
        });
        for page in &mut pages {
            page.sort_unstable();
            page.dedup();
        }
        Self { len: pages.iter().map(Vec::len).sum(), pages }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Memory, with the directory and what the heap takes for itself.
    pub fn bytes(&self) -> usize {
        let block =
            |page: &Vec<Entry>| if page.capacity() == 0 { 0 } else { page.capacity() * size_of::<Entry>() + BLOCK };
        PAGES * size_of::<Vec<Entry>>() + self.pages.iter().map(block).sum::<usize>()
    }
}

/// Every bit of the word decides about every bit of the hash (the finisher of `SplitMix64`).
pub(super) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn number(hash: u64) -> usize {
    (hash >> 48) as usize
}

fn kept(hash: u64) -> [u8; 2] {
    let [_, _, high, low, ..] = hash.to_be_bytes();
    [high, low]
}

fn entry(hash: u64, place: u32) -> Entry {
    let ([high, low], [a, b, c, d]) = (kept(hash), place.to_be_bytes());
    [high, low, a, b, c, d]
}

/// Where the entry is or would be. Hashes are even, so it is looked for where it should be, and then in steps that double.
fn lower_bound(page: &[Entry], wanted: Entry) -> usize {
    let [high, low, ..] = wanted;
    let guess = (usize::from(u16::from_be_bytes([high, low])) * page.len()) >> 16;
    let (mut low, mut high, mut step) = (guess, guess, 4);
    while low > 0 && page.get(low - 1).is_some_and(|entry| *entry >= wanted) {
        high = low - 1;
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 4;
    while page.get(high).is_some_and(|entry| *entry < wanted) {
        low = high + 1;
        high = (high + step).min(page.len());
        step *= 2;
    }
    low + page.get(low..high).unwrap_or_default().partition_point(|entry| *entry < wanted)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_bound_is_that_of_a_plain_search_in_even_and_in_skewed_pages() {
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..2_000 {
            let spread = [1, 3, 300, 1 << 32][round % 4];
            let mut page: Vec<Entry> =
                (0..random.usize(0..200)).map(|_| entry(mix(random.u64(0..spread)), random.u32(0..50))).collect();
            page.sort_unstable();
            let wanted = entry(mix(random.u64(0..spread)), random.u32(0..50));
            assert_eq!(lower_bound(&page, wanted), page.partition_point(|entry| *entry < wanted));
        }
    }

    #[test]
    fn it_holds_what_was_put_in_and_not_taken_out() {
        let mut random = fastrand::Rng::with_seed(8);
        let (mut pages, mut model) = (Pages::default(), BTreeSet::new());
        for _ in 0..20_000 {
            let (hash, place) = (mix(random.u64(0..2_000)), random.u32(0..4));
            if random.bool() {
                pages.insert(hash, place);
                model.insert((hash, place));
            } else {
                pages.remove(hash, place);
                model.remove(&(hash, place));
            }
        }
        assert_eq!(pages.len(), model.len());
        let built = Pages::build(|each| model.iter().for_each(|&(hash, place)| each(hash, place)));
        for table in [&pages, &built] {
            for hash in (0..2_000).map(mix) {
                let places: Vec<u32> = table.get(hash).collect();
                assert_eq!(
                    places,
                    model.range((hash, 0)..=(hash, u32::MAX)).map(|&(_, place)| place).collect::<Vec<_>>()
                );
            }
        }
        assert!(built.bytes() < pages.bytes());
    }
}
