//! "Did you mean …?": the nearest of some names.
//!
//! Knows: spelling distance. Does not know: what the names stand for.

/// The one of `names` that `word` is most likely a misspelling of, ignoring case;
/// `None` if none is near. The first of equally near ones wins.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    let limit = if length <= 3 { 1 } else { 2 };
    names
        .into_iter()
        // A word of a megabyte is not compared.
        .filter(|name| name.chars().count().abs_diff(length) <= limit)
        .map(|name| (distance(&word, &name.to_lowercase()), name))
        .filter(|&(distance, name)| distance <= limit && distance < name.chars().count())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// The hint that goes with [`nearest`].
pub fn did_you_mean<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, names).map(|name| format!("did you mean `{name}`?"))
}

/// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn a_swap_is_one_mistake() {
        for (a, b, expected) in [
            ("build", "biuld", 1),
            ("build", "build", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("build", "bild", 1),
            ("build", "test", 5),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let names = ["build", "test"];
        assert_eq!(nearest("Biuld", names), Some("build"));
        assert_eq!(nearest("tset", names), Some("test"));
        assert_eq!(nearest("alpine", names), None);
        assert_eq!(nearest("a", ["b"]), None);
    }
}
