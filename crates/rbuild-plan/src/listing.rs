//! The files that a step read, each with a print, as far as there is room.
//!
//! Knows: how much is worth keeping. Does not know: how files are found, what a print is made of.
//!
//! Invariant: never more than [`MOST`] names. Where there are more files, only the directories
//! of the root are told apart; where even these are too many, nothing is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most names that are kept of one source.
const MOST: usize = 5_000;

/// Files of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Prints by path. What ends with `/` stands for all that is in a directory.
    prints: BTreeMap<String, u64>,
    detail: Detail,
}

/// What a listing tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Detail {
    /// All paths.
    #[default]
    Files,
    /// The first components of paths.
    Tops,
    /// Nothing: there is one print of all.
    Nothing,
}

/// How the files of one listing differ from those of an older one. Paths in their order; what
/// ends with `/` is a directory in which something is different.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileChanges {
    /// In both, and not the same.
    pub changed: Vec<String>,
    /// Only in the newer one.
    pub added: Vec<String>,
    /// Only in the older one.
    pub removed: Vec<String>,
}

impl Listing {
    /// Adds the file or directory `path`, which `print` stands for. Each path is added once.
    pub fn add(&mut self, path: &[u8], print: u64) {
        let name = self.detail.name(&String::from_utf8_lossy(path));
        merge(&mut self.prints, name, print, path);
        while self.prints.len() > MOST {
            *self = self.coarser();
        }
    }

    /// How this one differs from `older`; as far as the one with less detail can tell.
    pub fn changes_since(&self, older: &Self) -> FileChanges {
        let detail = self.detail.max(older.detail);
        let (new, old) = (self.with(detail), older.with(detail));
        let names = |of: &Self, test: &dyn Fn(&String, &u64) -> bool| {
            let found = of.prints.iter().filter(|(name, print)| test(name, print));
            found.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let differs =
            |name: &String, print: &u64| old.prints.get(name).is_some_and(|it| it != print);
        FileChanges {
            changed: names(&new, &differs),
            added: names(&new, &|name, _| !old.prints.contains_key(name)),
            removed: names(&old, &|name, _| !new.prints.contains_key(name)),
        }
    }

    fn with(&self, detail: Detail) -> Self {
        let mut listing = self.clone();
        while listing.detail < detail {
            listing = listing.coarser();
        }
        listing
    }

    fn coarser(&self) -> Self {
        let detail = match self.detail {
            Detail::Files => Detail::Tops,
            Detail::Tops | Detail::Nothing => Detail::Nothing,
        };
        let mut prints = BTreeMap::new();
        for (name, print) in &self.prints {
            let print = match self.detail {
                // Else two files that change places would look the same.
                Detail::Files => mixed(*print, name.as_bytes()),
                Detail::Tops | Detail::Nothing => *print,
            };
            *prints.entry(detail.name(name)).or_insert(0) ^= print;
        }
        Self { prints, detail }
    }
}

impl FileChanges {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }
}

impl Detail {
    /// What `path` is kept under.
    fn name(self, path: &str) -> String {
        match (self, path.split_once('/')) {
            (Self::Files, _) | (Self::Tops, None) => path.to_owned(),
            (Self::Tops, Some((top, _))) => format!("{top}/"),
            (Self::Nothing, _) => "/".to_owned(),
        }
    }
}

fn merge(prints: &mut BTreeMap<String, u64>, name: String, print: u64, path: &[u8]) {
    let is_path = name.as_bytes() == path;
    let print = if is_path { print } else { mixed(print, path) };
    *prints.entry(name).or_insert(0) ^= print;
}

/// `print` bound to `path`.
fn mixed(print: u64, path: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&print.to_le_bytes()).update(path);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::{Listing, MOST};

    fn listing(files: impl IntoIterator<Item = (String, u64)>) -> Listing {
        let mut listing = Listing::default();
        for (path, print) in files {
            listing.add(path.as_bytes(), print);
        }
        listing
    }

    /// `NAME=PRINT` each.
    fn of(text: &str) -> Listing {
        listing(text.split_whitespace().map(|word| {
            let (path, print) = word.split_once('=').unwrap();
            (path.to_owned(), print.parse().unwrap())
        }))
    }

    #[track_caller]
    fn check(older: &Listing, newer: &Listing, expected: [&str; 3]) {
        let found = newer.changes_since(older);
        let lists = [&found.changed, &found.added, &found.removed];
        assert_eq!(lists.map(|list| list.join(" ")), expected);
    }

    #[test]
    fn files_are_changed_added_and_removed() {
        check(&of("a=1 b=2"), &of("a=1 b=2"), ["", "", ""]);
        check(
            &of("a=1 b=2 d/e=3"),
            &of("b=3 d/e=4 f=1"),
            ["b d/e", "f", "a"],
        );
    }

    #[test]
    fn of_too_many_files_the_directories_are_told_apart() {
        let many = |changed: usize| {
            listing((0..=MOST).map(|n| (format!("d{}/f{n}", n % 3), u64::from(n == changed))))
        };
        check(&many(4), &many(4), ["", "", ""]);
        check(&many(4), &many(5), ["d1/ d2/", "", ""]);
        check(&of("d0/f0=0 top=1"), &many(4), ["d0/", "d1/ d2/", "top"]);
    }

    #[test]
    fn two_files_that_change_places_differ_in_every_detail() {
        let fill = |n: usize| (format!("d/{n}"), n as u64);
        let swapped = |n: usize| (format!("d/{n}"), (n as u64) ^ u64::from(n < 2));
        check(
            &listing((0..MOST + 9).map(fill)),
            &listing((0..MOST + 9).map(swapped)),
            ["d/", "", ""],
        );
    }

    #[test]
    fn of_too_many_names_in_the_root_nothing_is_told_apart() {
        let flat = |changed: usize| {
            listing((0..=MOST).map(|n| (format!("f{n}"), u64::from(n == changed))))
        };
        check(&flat(1), &flat(2), ["/", "", ""]);
    }
}
