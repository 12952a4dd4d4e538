//! The table of contents, read: which bytes of a blob are which content.
//!
//! Knows: entries of files, and of the pieces that large files are cut into.
//! Does not know: whether the table is true. Whoever puts a blob together by it has to verify the
//! digest of the whole.
//!
//! Between two contents are headers. What they say is in the table too, so those are known as well
//! as contents are.

use std::{collections::BTreeMap, fmt, io::Read, ops::Range};

use rbuild_oci::{Digest, Hasher};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{CHECKSUM, POSITION, SKIPPABLE_HEADER, TYPE};

/// What podman 4 calls [`CHECKSUM`] and [`POSITION`].
const OLD_CHECKSUM: &str = "io.containers.zstd-chunked.manifest-checksum";
const OLD_POSITION: &str = "io.containers.zstd-chunked.manifest-position";
/// Frames of one blob, at most: the table of more is not read.
const FRAMES_LIMIT: usize = 1_000_000;

/// Where a layer's descriptor says that the blob's table of contents is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOfContents {
    offset: u64,
    /// Compressed.
    size: u64,
    text_size: u64,
    /// Of the compressed table.
    checksum: Digest,
}

/// Bytes of a blob, known by what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Digest of the uncompressed content, or of what the table says of the headers there.
    pub content: Digest,
    /// Where its compressed form is.
    pub range: Range<u64>,
}

impl TableOfContents {
    /// What `annotations` of a layer say; `None` if they tell of no such table.
    pub fn announced(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let say = |names: [&str; 2]| names.iter().find_map(|name| annotations.get(*name));
        let checksum = say([CHECKSUM, OLD_CHECKSUM])?.parse().ok()?;
        let numbers = say([POSITION, OLD_POSITION])?.split(':');
        let numbers: Vec<u64> = numbers.map(|it| it.parse().ok()).collect::<Option<_>>()?;
        match numbers[..] {
            [offset, size, text_size, TYPE] if offset > SKIPPABLE_HEADER && size > 0 => {
                Some(Self {
                    offset,
                    size,
                    text_size,
                    checksum,
                })
            }
            _ => None,
        }
    }

    /// Where the blob's last part begins, which decoders skip: the table, and what follows it.
    pub const fn tail(&self) -> u64 {
        self.offset - SKIPPABLE_HEADER
    }

    /// The frames before [`TableOfContents::tail`], without gaps; `tail` are the bytes from there on.
    ///
    /// `None` if that is not the table, or one that is too large or makes no sense.
    pub fn frames(&self, tail: &[u8]) -> Option<Vec<Frame>> {
        let start = usize::try_from(SKIPPABLE_HEADER).ok()?;
        let end = start.checked_add(usize::try_from(self.size).ok()?)?;
        let compressed = tail.get(start..end)?;
        if Digest::of(compressed) != self.checksum {
            return None;
        }
        let decoder = zstd::stream::read::Decoder::new(compressed).ok()?;
        let document: Document = serde_json::from_reader(decoder.take(self.text_size)).ok()?;
        document.entries.finish(self.tail())
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(deserialize_with = "entries")]
    entries: Frames,
}

/// The frames of the entries so far.
#[derive(Default)]
struct Frames {
    frames: Vec<Frame>,
    /// Where the last one ends.
    end: u64,
    /// What the entries say since the last content.
    headers: Hasher,
}

impl Frames {
    fn add(&mut self, mut entry: Map<String, Value>) {
        let mut take = |key| entry.remove(key);
        let (offset, end) = (take("offset"), take("endOffset"));
        serde_json::to_writer(&mut self.headers, &entry).expect("a digest takes everything");
        let digest = |key| entry.get(key)?.as_str()?.parse().ok();
        let content = digest("chunkDigest").or_else(|| digest("digest"));
        let number = |value: Option<Value>| value.and_then(|it| it.as_u64());
        if let (Some(content), Some(offset), Some(end)) = (content, number(offset), number(end))
            && self.end <= offset
            && offset < end
        {
            self.close(offset);
            let range = offset..end;
            self.frames.push(Frame { content, range });
            self.end = end;
        }
    }

    /// Ends the headers at `offset`.
    fn close(&mut self, offset: u64) {
        let content = std::mem::take(&mut self.headers).finish();
        if self.end < offset {
            let range = self.end..offset;
            self.frames.push(Frame { content, range });
        }
    }

    fn finish(mut self, tail: u64) -> Option<Vec<Frame>> {
        let is_inside = self.end <= tail;
        self.close(tail);
        is_inside.then_some(self.frames)
    }
}

fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Frames, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Frames;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the entries of an archive")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Frames, A::Error> {
            let mut frames = Frames::default();
            while let Some(entry) = entries.next_element()? {
                if frames.frames.len() >= FRAMES_LIMIT {
                    return Err(A::Error::custom("too many entries"));
                }
                frames.add(entry);
            }
            Ok(frames)
        }
    }

    deserializer.deserialize_seq(Entries)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rbuild_oci::Digest;

    use super::{Frame, OLD_CHECKSUM, OLD_POSITION, TableOfContents};
    use crate::chunked::{
        CHECKSUM, POSITION, SKIPPABLE,
        tests::{archive, chunked},
    };

    /// The frames of a blob whose table, at 1000, has `entries`.
    fn frames(entries: &str) -> Option<Vec<Frame>> {
        let text = format!(r#"{{"version":1,"entries":[{entries}],"other":{{}}}}"#);
        let table = zstd::encode_all(text.as_bytes(), 3).unwrap();
        let annotations = BTreeMap::from([
            (CHECKSUM.to_owned(), Digest::of(&table).to_string()),
            (
                POSITION.to_owned(),
                format!("1008:{}:{}:1", table.len(), text.len()),
            ),
        ]);
        let announced = TableOfContents::announced(&annotations).unwrap();
        assert_eq!(announced.tail(), 1000);
        let size = u32::try_from(table.len()).unwrap().to_le_bytes();
        announced.frames(&[&SKIPPABLE[..], &size, &table, b"the rest"].concat())
    }

    /// An entry of a file with the content `digit`.
    fn file(digit: char, range: (u64, u64)) -> String {
        let digest: String = std::iter::repeat_n(digit, 64).collect();
        format!(
            r#"{{"type":"reg","name":"f","digest":"sha256:{digest}","offset":{},"endOffset":{}}}"#,
            range.0, range.1
        )
    }

    fn ranges(entries: &str) -> Vec<(u64, u64)> {
        let found = frames(entries).unwrap();
        let ranges = found.iter().map(|it| (it.range.start, it.range.end));
        ranges.collect()
    }

    #[test]
    fn all_of_a_blob_is_frames_of_headers_and_of_contents() {
        let directory = r#"{"type":"dir","name":"d/"}"#;
        let two = [directory, &file('a', (100, 200)), &file('b', (250, 900))].join(",");
        let expected = [(0, 100), (100, 200), (200, 250), (250, 900), (900, 1000)];
        assert_eq!(ranges(&two), expected);
        assert_eq!(ranges(""), [(0, 1000)]);
    }

    #[test]
    fn the_pieces_of_a_large_file_are_known_each() {
        let piece = |digit: &str, range: (u64, u64)| {
            file('a', range).replace(
                r#""type":"reg""#,
                &format!(
                    r#""type":"chunk","chunkDigest":"sha256:{}""#,
                    digit.repeat(64)
                ),
            )
        };
        let pieces = [piece("1", (100, 200)), piece("2", (200, 900))].join(",");
        let found = frames(&pieces).unwrap();
        let contents: Vec<_> = found.iter().map(|it| it.content.hex()).collect();
        assert_eq!(contents[1..3], ["1".repeat(64), "2".repeat(64)]);
    }

    #[test]
    fn headers_are_known_by_what_the_table_says_of_them() {
        let of = |header: &str| frames(&[header, &file('a', (100, 200))].join(",")).unwrap();
        let [one, other] = ["a", "b"].map(|name| of(&format!(r#"{{"name":"{name}"}}"#)));
        assert_ne!(one[0].content, other[0].content);
        assert_eq!(one[1..], other[1..]);
        // Not by the place where they are.
        let moved = frames(&[r#"{"name":"a"}"#, &file('a', (150, 200))].join(",")).unwrap();
        assert_eq!(one[0].content, moved[0].content);
    }

    #[test]
    fn a_table_without_sense_is_none() {
        assert_eq!(frames("17"), None);
        assert_eq!(frames(&file('a', (100, 1001))), None, "in the table itself");
        // Not where it would have to be: it is among the headers then.
        let overlapping = [file('a', (100, 200)), file('b', (150, 300))].join(",");
        assert_eq!(ranges(&overlapping), [(0, 100), (100, 200), (200, 1000)]);
    }

    #[test]
    fn annotations_without_sense_announce_nothing() {
        let sum = Digest::of(b"").to_string();
        let good = [(CHECKSUM, &sum[..]), (POSITION, "9:1:1:1")];
        let announced = |said: &[(&str, &str)]| {
            let said = said
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            TableOfContents::announced(&said.collect())
        };
        assert!(announced(&good).is_some());
        assert!(announced(&[(OLD_CHECKSUM, &sum), (OLD_POSITION, "9:1:1:1")]).is_some());
        assert!(announced(&good[..1]).is_none() && announced(&good[1..]).is_none());
        for position in [
            "",
            "9:1:1",
            "9:1:1:2",
            "8:1:1:1",
            "9:0:1:1",
            "-9:1:1:1",
            "9:1:1:1:1",
        ] {
            assert!(
                announced(&[good[0], (POSITION, position)]).is_none(),
                "{position}"
            );
        }
    }

    /// Pushed by podman 5.4.2: `/d/one` and `/d/two`.
    #[test]
    fn the_table_of_podman_5_is_understood() {
        let blob = include_bytes!("../../tests/data/podman-5.4.tar.zst");
        let checksum = "sha256:c8b2596c8fdfdf99eae303cce38832d88dcd7d88c9e281dea63460d711cd0551";
        let annotations = [
            (CHECKSUM, checksum),
            (POSITION, "249:305:578:1"),
            (
                "io.github.containers.zstd-chunked.tarsplit-position",
                "562:350:5094",
            ),
        ];
        let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let table = TableOfContents::announced(&BTreeMap::from(annotations)).unwrap();
        let frames = table.frames(&blob[241..]).unwrap();
        let ranges: Vec<_> = frames.iter().map(|it| it.range.clone()).collect();
        assert_eq!(ranges, [0..103, 103..128, 128..207, 207..224, 224..241]);
        for (frame, content) in [(1, &b"one one one one one one\n"[..]), (3, b"two\n")] {
            assert_eq!(frames[frame].content, Digest::of(content));
            let range = ranges[frame].start as usize..ranges[frame].end as usize;
            assert_eq!(zstd::decode_all(&blob[range]).unwrap(), content);
        }
    }

    #[test]
    fn the_table_that_we_write_covers_the_blob() {
        let (blob, chunks) = chunked(&archive());
        let table = TableOfContents::announced(&chunks.unwrap().annotations()).unwrap();
        let tail = usize::try_from(table.tail()).unwrap();
        let frames = table.frames(&blob[tail..]).unwrap();
        let mut end = 0;
        for frame in &frames {
            assert_eq!(frame.range.start, end);
            end = frame.range.end;
        }
        assert_eq!(end, table.tail());
        assert!(frames.len() > 3, "{frames:?}");
        let mut other = blob;
        *other.last_mut().unwrap() ^= 1;
        other[tail + 20] ^= 1;
        assert_eq!(table.frames(&other[tail..]), None, "another checksum");
        assert_eq!(table.frames(&other[tail..tail + 20]), None, "cut");
    }
}
