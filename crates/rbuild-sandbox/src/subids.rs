//! Which subordinate ids are ours? Pure: texts in, ranges out.
//!
//! subuid(5): lines `owner:start:count`, the owner by name or by number. The lists of real
//! hosts have duplicates and overlaps, for which newuidmap(1) refuses the whole map.

use std::fmt;

use rbuild_sys::IdMapping;

/// Ids from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first.
    pub start: u32,
    /// How many, at least 1.
    pub count: u32,
}

/// The ranges of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Sorted, neither overlapping nor touching.
    pub ranges: Vec<Range>,
    /// How many lines of the user were, wholly or partly, not used: unreadable, duplicate,
    /// overlapping, or around the user's own id.
    pub ignored: usize,
}

/// Whose ranges are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Login name; `None` if the user has none.
    pub name: Option<String>,
    /// User number, also in the list of groups: it is users who own ranges of groups.
    pub uid: u32,
}

/// The kernel takes 340 lines in a map; one is for the own id.
const MAX_RANGES: usize = 339;

impl Ranges {
    /// Reads `/etc/subuid` or `/etc/subgid`. `own` is the caller's own user or group, which
    /// cannot be mapped twice.
    pub fn parse(text: &str, owner: &Owner, own: u32) -> Self {
        let uid = owner.uid.to_string();
        let is_ours = |field: &str| field == uid || Some(field) == owner.name.as_deref();
        let lines = text.lines().filter_map(|line| {
            let (field, rest) = line.trim().split_once(':')?;
            is_ours(field).then(|| rest.split_once(':'))
        });
        Self::collect(
            lines.map(|fields| fields.and_then(|(s, c)| range(s, c))),
            own,
        )
    }

    /// Reads what `getsubids` printed: lines `0: owner start count`.
    pub fn parse_listing(text: &str, own: u32) -> Self {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let ranges = lines.map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields[..] {
                [_, _, start, count] => range(start, count),
                _ => None,
            }
        });
        Self::collect(ranges, own)
    }

    /// How many ids there are.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.count)).sum()
    }

    /// Root inside is `own` outside; 1, 2, … are the ranges in order.
    pub fn mappings(&self, own: u32) -> Vec<IdMapping> {
        let mut mappings = vec![IdMapping {
            inside: 0,
            outside: own,
            count: 1,
        }];
        let mut inside = 1_u32;
        for range in self.ranges.iter().take(MAX_RANGES) {
            // 2^32 - 1 is not an id.
            let count = range.count.min(u32::MAX - inside);
            if count > 0 {
                mappings.push(IdMapping {
                    inside,
                    outside: range.start,
                    count,
                });
            }
            inside += count;
        }
        mappings
    }

    fn collect(lines: impl Iterator<Item = Option<Range>>, own: u32) -> Self {
        let mut found = Self::default();
        let mut usable = Vec::new();
        for line in lines {
            match line {
                Some(range) if !range.contains(own) => usable.push(range),
                _ => found.ignored += 1,
            }
        }
        usable.sort_unstable();
        for range in usable {
            found.add(range);
        }
        found
    }

    /// Adds `range`, which starts at or after the last one, without what is there already.
    fn add(&mut self, range: Range) {
        let Some(last) = self
            .ranges
            .last_mut()
            .filter(|last| range.start <= last.end())
        else {
            self.ranges.push(range);
            return;
        };
        if range.start < last.end() {
            self.ignored += 1;
        }
        last.count = last.count.max(range.end() - last.start);
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self
            .ranges
            .iter()
            .map(|range| format!("{}:{}", range.start, range.count));
        f.write_str(&texts.collect::<Vec<_>>().join(", "))
    }
}

impl Range {
    fn contains(self, id: u32) -> bool {
        (self.start..self.end()).contains(&id)
    }

    /// The first id after it; `range` makes sure that there is one.
    fn end(self) -> u32 {
        self.start + self.count
    }
}

fn range(start: &str, count: &str) -> Option<Range> {
    let start: u32 = start.trim().parse().ok()?;
    let count: u32 = count.trim().parse().ok()?;
    start.checked_add(count)?;
    (count > 0).then_some(Range { start, count })
}

#[cfg(test)]
mod tests {
    use super::{Owner, Range, Ranges};

    #[track_caller]
    fn check(text: &str, ranges: &[(u32, u32)], ignored: usize) {
        let owner = Owner {
            name: Some("ann".to_owned()),
            uid: 1000,
        };
        let ranges = ranges.iter().map(|&(start, count)| Range { start, count });
        let expected = Ranges {
            ranges: ranges.collect(),
            ignored,
        };
        assert_eq!(Ranges::parse(text, &owner, 1000), expected);
    }

    #[test]
    fn lines_of_the_user_count_by_name_and_by_number() {
        check("ann:100000:65536\n", &[(100_000, 65_536)], 0);
        check("1000:100000:65536\n", &[(100_000, 65_536)], 0);
        check("bob:100000:65536\n10000:5:5\nann\n", &[], 0);
        check("", &[], 0);
    }

    #[test]
    fn ranges_are_sorted_and_touching_ones_joined() {
        check("ann:500:10\nann:300:5\n", &[(300, 5), (500, 10)], 0);
        check("ann:310:10\n1000:300:10\n", &[(300, 20)], 0);
    }

    #[test]
    fn duplicates_and_overlaps_count_once() {
        check("ann:300:10\nann:300:10\n", &[(300, 10)], 1);
        check("ann:300:10\nann:305:10\n", &[(300, 15)], 1);
        check(
            "ann:300:10\nann:302:2\nann:400:1",
            &[(300, 10), (400, 1)],
            1,
        );
    }

    #[test]
    fn unusable_lines_are_counted() {
        check(
            "ann:x:10\nann:5\nann:5:0\nann:4294967295:2\nann:-1:2",
            &[],
            5,
        );
    }

    #[test]
    fn a_range_around_the_own_id_is_not_used() {
        check("ann:900:200\nann:2000:3\n", &[(2000, 3)], 1);
    }

    #[test]
    fn the_map_starts_with_the_own_id() {
        let owner = Owner { name: None, uid: 7 };
        let ranges = Ranges::parse("7:500:10\n7:300:5\n", &owner, 7);
        let numbers = ranges.mappings(7).into_iter();
        let numbers: Vec<_> = numbers.map(|m| (m.inside, m.outside, m.count)).collect();
        assert_eq!(numbers, [(0, 7, 1), (1, 300, 5), (6, 500, 10)]);
    }

    #[test]
    fn a_listing_of_getsubids_is_read() {
        let ranges = Ranges::parse_listing("0: ann 100000 65536\n1: ann 7 1\n", 1000);
        assert_eq!(ranges.count(), 65_537);
    }
}
