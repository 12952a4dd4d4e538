//! "Did you mean …?": the candidate that a misspelt word is closest to.
//!
//! Knows: edit distance. Does not know: what the words mean.

/// The candidate within two edits of `word` (one edit for words of up to three
/// bytes), or `None`. Case does not count.
pub(crate) fn closest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let most = if word.len() <= 3 { 1 } else { 2 };
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= most)
        .map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(edits, _)| *edits <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits between two ASCII words: a letter more, less, other, or two swapped. Case
/// does not count.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let same = |i: usize, j: usize| a[i].eq_ignore_ascii_case(&b[j]);
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let edits = (above[j] + usize::from(!same(i, j)))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            let swapped = i > 0 && j > 0 && same(i, j - 1) && same(i - 1, j);
            row.push(if swapped {
                edits.min(before[j - 1] + 1)
            } else {
                edits
            });
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    fn check(word: &str, expected: Option<&str>) {
        assert_eq!(closest(word, ["RUN", "FROM", "COPY", "from"]), expected);
    }

    #[test]
    fn swapped_letters_are_understood() {
        check("FORM", Some("FROM"));
    }

    #[test]
    fn short_words_may_be_one_edit_away() {
        check("rum", Some("RUN"));
        check("RNU", Some("RUN"));
        check("xx", None);
    }

    #[test]
    fn far_words_get_no_suggestion() {
        check("INCLUDE", None);
    }
}
