//! Files whose holes an archive leaves out: what is stored of them, and where it belongs. Pure.
//!
//! GNU tar says so in four ways: by its own header (`S`), and by PAX records in versions 0.0, 0.1
//! and 1.0 (GNU tar, "Storing Sparse Files"; archive/tar of Go reads all of them too).
//!
//! Invariant: the pieces of a [`Map`] are in order, apart from each other, and within the file.

use std::mem;

use crate::pax;

/// What all keys start with.
pub(super) const KEYS: &[u8] = b"GNU.sparse.";

/// A file with holes.
#[derive(Debug)]
pub(super) struct Map {
    /// Offset and size of each piece that is stored.
    pieces: Vec<(u64, u64)>,
    /// Of the file, in bytes.
    pub size: u64,
}

impl Map {
    /// `None` if the pieces overlap, are out of order, or reach beyond `size`.
    pub(super) fn new(pieces: Vec<(u64, u64)>, size: u64) -> Option<Self> {
        let mut end = 0;
        for &(offset, length) in &pieces {
            let next = offset.checked_add(length)?;
            if offset < end || next > size {
                return None;
            }
            end = next;
        }
        let is_size = size <= i64::MAX.cast_unsigned();
        is_size.then_some(Self { pieces, size })
    }

    /// The same of numbers, which alternate.
    pub(super) fn of_numbers(numbers: &[u64], size: u64) -> Option<Self> {
        let (pairs, rest) = numbers.as_chunks::<2>();
        let pieces = pairs.iter().map(|&[offset, length]| (offset, length));
        rest.is_empty().then(|| Self::new(pieces.collect(), size))?
    }

    /// Bytes that are stored.
    pub(super) fn stored(&self) -> u64 {
        self.pieces.iter().map(|(_, size)| size).sum()
    }
}

/// A [`Map`] that is read along.
#[derive(Debug)]
pub(super) struct Cursor {
    map: Map,
    /// The first piece that is not read to its end.
    piece: usize,
    position: u64,
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// So many zeros.
    Hole(usize),
    /// So many bytes that are stored.
    Stored(usize),
    End,
}

impl Cursor {
    pub(super) fn new(map: Map) -> Self {
        Self {
            map,
            piece: 0,
            position: 0,
        }
    }

    /// What comes next, no more than `room` bytes of it.
    pub(super) fn next(&mut self, room: usize) -> Next {
        while let Some((offset, size)) = self.map.pieces.get(self.piece) {
            if self.position < *offset {
                return Next::Hole(within(room, offset - self.position));
            }
            let end = offset + size;
            if self.position < end {
                return Next::Stored(within(room, end - self.position));
            }
            self.piece += 1;
        }
        match self.map.size - self.position {
            0 => Next::End,
            left => Next::Hole(within(room, left)),
        }
    }

    /// Goes on by `count` bytes of what [`Cursor::next`] said.
    pub(super) fn advance(&mut self, count: usize) {
        self.position += count as u64;
    }
}

fn within(room: usize, left: u64) -> usize {
    room.min(usize::try_from(left).unwrap_or(usize::MAX))
}

/// What PAX records say of a file with holes.
#[derive(Debug, Default)]
pub(super) struct Records {
    is_said: bool,
    major: Option<u64>,
    minor: Option<u64>,
    size: Option<u64>,
    /// The file's name: that of the header is made up for readers that know nothing of holes.
    pub name: Vec<u8>,
    numbers: Vec<u64>,
}

/// Where the map is that records speak of.
#[derive(Debug)]
pub(super) enum Said {
    /// Nowhere: the file has no holes.
    Nothing,
    /// In the records.
    Here(Map),
    /// Before the content of the file, which has that size.
    InContent(u64),
}

impl Records {
    /// Takes the record `key`, without [`KEYS`]; `None` if it makes no sense.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        self.is_said = true;
        let number = || pax::decimal(value);
        match key {
            b"major" => self.major = Some(number()?),
            b"minor" => self.minor = Some(number()?),
            b"size" | b"realsize" => self.size = Some(number()?),
            b"name" => self.name = value.to_vec(),
            b"numblocks" => drop(number()?),
            b"offset" if self.numbers.len().is_multiple_of(2) => self.numbers.push(number()?),
            b"numbytes" if !self.numbers.len().is_multiple_of(2) => self.numbers.push(number()?),
            b"map" if self.numbers.is_empty() && !value.is_empty() => {
                let numbers = value.split(|&byte| byte == b',').map(pax::decimal);
                self.numbers = numbers.collect::<Option<_>>()?;
            }
            b"map" if value.is_empty() => {}
            _ => return None,
        }
        Some(())
    }

    /// What they say together; `None` if it makes no sense.
    pub(super) fn said(&mut self) -> Option<Said> {
        if !self.is_said {
            return Some(Said::Nothing);
        }
        let size = self.size?;
        match (self.major.unwrap_or(0), self.minor.unwrap_or(0)) {
            (1, 0) => self.numbers.is_empty().then_some(Said::InContent(size)),
            (0, 0 | 1) => {
                let numbers = mem::take(&mut self.numbers);
                Map::of_numbers(&numbers, size).map(Said::Here)
            }
            _ => None,
        }
    }
}

/// The numbers of a map in version 1.0, which come block by block.
#[derive(Debug, Default)]
pub(super) struct MapText {
    numbers: Vec<u64>,
    /// Digits of a number that goes on in the next block.
    digits: Vec<u8>,
}

impl MapText {
    /// Takes the next block. Returns whether that was the last one; `None` if it makes no sense.
    pub(super) fn take(&mut self, block: &[u8]) -> Option<bool> {
        for &byte in block {
            if byte != b'\n' {
                self.digits.push(byte);
                continue;
            }
            self.numbers.push(pax::decimal(&self.digits)?);
            self.digits.clear();
            let (count, numbers) = self.numbers.split_first()?;
            if numbers.len() as u64 == count.checked_mul(2)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// The map of a file of that size.
    pub(super) fn map(&self, size: u64) -> Option<Map> {
        Map::of_numbers(self.numbers.get(1..)?, size)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Map, MapText, Next, Records, Said};

    /// Whether such pieces of a file of 100 bytes are believed.
    #[track_caller]
    fn check(pieces: &[(u64, u64)], believed: bool) {
        assert_eq!(
            Map::new(pieces.to_vec(), 100).is_some(),
            believed,
            "{pieces:?}"
        );
    }

    #[test]
    fn pieces_are_in_order_apart_and_within() {
        check(&[], true);
        check(&[(0, 10), (10, 5), (90, 10)], true);
        check(&[(100, 0)], true);
        check(&[(0, 101)], false);
        check(&[(101, 0)], false);
        check(&[(10, 10), (15, 1)], false);
        check(&[(50, 1), (10, 1)], false);
        check(&[(u64::MAX, 2)], false);
        assert!(Map::new(Vec::new(), u64::MAX).is_none());
    }

    #[test]
    fn a_file_is_holes_and_pieces_to_its_end() {
        let map = Map::new(vec![(3, 2), (5, 0), (8, 1)], 12).unwrap();
        assert_eq!(map.stored(), 3);
        let mut cursor = Cursor::new(map);
        let mut text = String::new();
        loop {
            let (sign, count) = match cursor.next(2) {
                Next::Hole(count) => ("-", count),
                Next::Stored(count) => ("x", count),
                Next::End => break,
            };
            text += &sign.repeat(count);
            cursor.advance(count);
        }
        assert_eq!(text, "---xx---x---");
    }

    /// What records say: nothing, the size in the map, or that of a file whose map comes later.
    fn said(records: &[(&str, &str)]) -> Option<(bool, u64)> {
        let mut all = Records::default();
        for (key, value) in records {
            all.take(key.as_bytes(), value.as_bytes())?;
        }
        Some(match all.said()? {
            Said::Nothing => (false, 0),
            Said::Here(map) => (true, map.size),
            Said::InContent(size) => (false, size),
        })
    }

    #[test]
    fn each_version_says_it_in_its_own_way() {
        let size = ("size", "9");
        assert_eq!(said(&[]), Some((false, 0)));
        let pair = [("offset", "1"), ("numbytes", "2")];
        let old = [size, pair[0], pair[1], pair[0], ("numbytes", "0")];
        assert_eq!(said(&old), None, "out of order");
        assert_eq!(said(&[size, pair[0], pair[1]]), Some((true, 9)));
        assert_eq!(said(&[size, ("map", "1,2,5,1")]), Some((true, 9)));
        let new = [("major", "1"), ("minor", "0"), ("realsize", "9")];
        assert_eq!(said(&new), Some((false, 9)));
        for wrong in [
            &[("map", "1,2")][..],
            &[size, ("map", "1,2,3")],
            &[size, ("map", "1,")],
            &[size, ("numbytes", "1")],
            &[size, ("offset", "1")],
            &[size, ("offset", "-1")],
            &[size, ("map", "1,2"), ("map", "3,4")],
            &[size, ("major", "2")],
            &[size, ("unknown", "1")],
            &[new[0], new[1], new[2], ("map", "1,2")],
        ] {
            assert_eq!(said(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_map_in_the_content_ends_where_it_says() {
        let read = |blocks: &[&str]| {
            let mut text = MapText::default();
            let mut is_last = false;
            for block in blocks {
                assert!(!is_last);
                is_last = text.take(block.as_bytes())?;
            }
            is_last.then(|| text.map(100))?
        };
        assert_eq!(read(&["0\n\0\0"]).unwrap().stored(), 0);
        assert_eq!(read(&["2\n1\n2", "\n10\n3\n\0"]).unwrap().stored(), 5);
        assert_eq!(read(&["1", "0\n1\n"]).map(|map| map.stored()), None);
        for wrong in [
            "x\n",
            "\n",
            "1\n1\n1000\n",
            "99999999999999999999\n",
            "18446744073709551615\n",
        ] {
            assert!(read(&[wrong]).is_none(), "{wrong:?}");
        }
    }
}
