//! tar-split's data: all bytes of an archive but the contents of its files, so that it can be made
//! again from those, byte for byte.
//!
//! Lines of JSON, compressed with zstd; the format is that of vbatts/tar-split, tar/storage.

use std::io::{self, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use zstd::stream::write::Encoder;

use crate::archive::Member;

const FILE: u8 = 1;
const SEGMENT: u8 = 2;
/// CRC-64 as ISO 3309 has it, its bits in reverse.
const POLYNOMIAL: u64 = 0xd800_0000_0000_0000;
const TABLE: [u64; 256] = table();

/// The lines so far.
pub(super) struct TarSplit {
    out: Encoder<'static, Vec<u8>>,
    /// Of the text.
    size: u64,
    position: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// A name that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_raw: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    payload: Option<String>,
    position: u64,
}

impl TarSplit {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        Ok(Self {
            out: Encoder::new(Vec::new(), level)?,
            size: 0,
            position: 0,
        })
    }

    /// Adds bytes between contents.
    pub(super) fn segment(&mut self, raw: &[u8]) -> io::Result<()> {
        if raw.is_empty() {
            return Ok(());
        }
        self.line(&Line {
            kind: SEGMENT,
            name: None,
            name_raw: None,
            size: None,
            payload: Some(STANDARD.encode(raw)),
            position: self.position,
        })
    }

    /// Adds the place of the content of `member`; `None` if it has none.
    pub(super) fn file(&mut self, member: &Member, content: Option<Checksum>) -> io::Result<()> {
        let name = std::str::from_utf8(&member.path).ok();
        let raw = || STANDARD.encode(&member.path);
        self.line(&Line {
            kind: FILE,
            name,
            name_raw: name.is_none().then(raw),
            size: Some(member.size).filter(|size| *size > 0),
            payload: content.map(|sum| STANDARD.encode(sum.finish().to_be_bytes())),
            position: self.position,
        })
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.position += 1;
        self.size += text.len() as u64;
        self.out.write_all(&text)
    }

    /// The compressed lines, and how many bytes they have as text.
    pub(super) fn finish(self) -> io::Result<(Vec<u8>, u64)> {
        Ok((self.out.finish()?, self.size))
    }
}

/// A sum over a content.
pub(super) struct Checksum(u64);

impl Checksum {
    pub(super) fn new() -> Self {
        Self(u64::MAX)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = TABLE[usize::from(low ^ byte)] ^ (self.0 >> 8);
        }
    }

    pub(super) fn finish(self) -> u64 {
        !self.0
    }
}

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut sum = index as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (POLYNOMIAL * (sum & 1));
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::Checksum;

    #[test]
    fn the_sum_is_that_of_go() {
        let mut sum = Checksum::new();
        sum.update(b"1234");
        sum.update(b"56789");
        assert_eq!(sum.finish(), 0xb909_56c7_75a4_1001);
    }
}
