//! The known word that a mistyped one is most like.

/// How near it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Near<'a> {
    /// So few edits that it was meant.
    Slip(&'a str),
    /// The nearest, but perhaps another was meant.
    Far(&'a str),
}

/// The known word with the fewest edits, or that holds the word or is held by it.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<Near<'a>> {
    let word = word.to_lowercase().replace('-', "_");
    let most = word.chars().count().max(3) / 3;
    let (edits, candidate) = known.map(|candidate| (edits(&word, &candidate.replace('-', "_")), candidate)).min()?;
    Some(if edits <= most { Near::Slip(candidate) } else { Near::Far(candidate) })
}

/// One for `id` in `client_id` and `listen_address` round `listen`.
fn edits(word: &str, candidate: &str) -> usize {
    let is_part = word.len() >= 4 && candidate.len() >= 4 && (candidate.contains(word) || word.contains(candidate));
    let edits = distance(word, candidate);
    if is_part { edits.min(1) } else { edits }
}

/// Insertions, deletions and replacements between two words, one row of the table at a time.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, left) in from.chars().enumerate() {
        let mut next = vec![line + 1];
        for (pair, right) in row.windows(2).zip(to.chars()) {
            let (diagonal, above) = (pair.first().copied(), pair.last().copied());
            let replace = diagonal.unwrap_or_default() + usize::from(left != right);
            let delete = above.unwrap_or_default() + 1;
            let insert = next.last().copied().unwrap_or_default() + 1;
            next.push(replace.min(delete).min(insert));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let known = ["client_id", "client_secret", "endpoint", "flow"];
        let near = |word| nearest(word, known.into_iter());
        assert_eq!(near("clientid"), Some(Near::Slip("client_id")));
        assert_eq!(near("client-id"), Some(Near::Slip("client_id")));
        assert_eq!(near("endpiont"), Some(Near::Slip("endpoint")));
        assert_eq!(near("secret"), Some(Near::Slip("client_secret")));
        assert_eq!(near("colour"), Some(Near::Far("flow")));
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
