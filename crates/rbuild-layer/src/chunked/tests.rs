//! A reader of our own: what the table says of each file is held against the blob.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use rbuild_oci::{Digest, media_type::Compression};
use serde_json::Value;

use super::{
    CHECKSUM, Chunks, FOOTER_MAGIC, POSITION, TAR_SPLIT, TableOfContents, tar_split::Checksum,
    write_chunked,
};
use crate::{
    Decoder,
    header::{Header, Type},
};

const NO_TIME: i64 = i64::MIN;

/// A member to be.
fn member(path: &[u8], kind: Type, content: &[u8], mtime: i64) -> Vec<u8> {
    let mut out = Vec::new();
    let xattr = [(b"user.a".to_vec(), b"\xff\x00".to_vec())];
    let header = Header {
        kind,
        path,
        link: match kind {
            Type::Symlink | Type::HardLink => content,
            _ => b"",
        },
        mode: 0o644,
        uid: 0,
        gid: 70_000_000,
        size: if kind == Type::File {
            content.len() as u64
        } else {
            0
        },
        mtime,
        rdev: (0, 0),
        xattrs: if kind == Type::File { &xattr } else { &[] },
    };
    header.write(&mut out);
    if kind == Type::File {
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out
}

/// Two megabytes, an empty file, a name of 300 bytes, links; then zeros beyond the end.
pub(super) fn archive() -> Vec<u8> {
    let big: Vec<u8> = (0..2_000_000_u32)
        .flat_map(|n| (n % 251).to_le_bytes())
        .take(2 << 20)
        .collect();
    let long = [b"d/", &[b'n'; 300][..]].concat();
    let mut tar = [
        member(b"d/", Type::Directory, b"", 0),
        member(b"d/big", Type::File, &big, 1_700_000_000),
        member(b"d/empty", Type::File, b"", -5),
        member(&long, Type::File, b"x", 253_402_207_200),
        member(b"d/hard", Type::HardLink, b"d/big", 0),
        member(b"d/soft", Type::Symlink, b"../etc", 0),
    ]
    .concat();
    tar.resize(tar.len() + 10_240, 0);
    tar
}

pub(super) fn chunked(tar: &[u8]) -> (Vec<u8>, Option<Chunks>) {
    let mut blob = Vec::new();
    let chunks = write_chunked(&mut &tar[..], &mut blob, None).unwrap();
    (blob, chunks)
}

fn plain(zstd: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoder = Decoder::new(zstd, Compression::Zstd, u64::MAX).unwrap();
    decoder.read_to_end(&mut out).unwrap();
    out
}

/// The numbers of a place.
fn numbers(text: &str) -> Vec<usize> {
    text.split(':').map(|it| it.parse().unwrap()).collect()
}

/// What is at the place that `numbers` say, decompressed, its size checked.
fn part(blob: &[u8], numbers: &[usize]) -> Vec<u8> {
    let [offset, size, text_size, ..] = numbers else {
        unreachable!("{numbers:?}")
    };
    let text = plain(&blob[*offset..offset + size]);
    assert_eq!(text.len(), *text_size);
    text
}

/// The table of contents, after its digest was checked.
fn toc(blob: &[u8], chunks: &Chunks) -> Value {
    let said = chunks.annotations();
    let position = numbers(&said[POSITION]);
    assert_eq!(position[3], 1);
    let compressed = &blob[position[0]..position[0] + position[1]];
    assert_eq!(Digest::of(compressed).to_string(), said[CHECKSUM]);
    serde_json::from_slice(&part(blob, &position)).unwrap()
}

/// The content of an entry: of its frames only.
fn content(blob: &[u8], entry: &Value) -> Vec<u8> {
    let at = |key: &str| usize::try_from(entry[key].as_u64().unwrap()).unwrap();
    let content = plain(&blob[at("offset")..at("endOffset")]);
    assert_eq!(content.len(), at("size"));
    assert_eq!(
        Digest::of(&content).to_string(),
        entry["digest"].as_str().unwrap()
    );
    content
}

#[test]
fn a_decoder_that_knows_nothing_reads_the_tar() {
    let tar = archive();
    assert!(plain(&chunked(&tar).0) == tar);
}

#[test]
fn each_file_is_where_the_table_says() {
    let (blob, chunks) = chunked(&archive());
    let toc = toc(&blob, &chunks.unwrap());
    assert_eq!(toc["version"], 1);
    let mut shown = String::new();
    for entry in toc["entries"].as_array().unwrap() {
        let name = entry["name"].as_str().unwrap();
        let size = match entry.get("size") {
            Some(_) => content(&blob, entry).len(),
            None => 0,
        };
        let link = entry["linkName"].as_str().unwrap_or_default();
        let time = entry["modtime"].as_str().unwrap();
        let kind = entry["type"].as_str().unwrap();
        let line = format!("{kind} {name:.8} {size} {time} {link}");
        shown += line.trim_end();
        shown.push('\n');
    }
    expect_test::expect![[r#"
        dir d/ 0 1970-01-01T00:00:00Z
        reg d/big 2097152 2023-11-14T22:13:20Z
        reg d/empty 0 1969-12-31T23:59:55Z
        reg d/nnnnnn 1 9999-12-30T22:00:00Z
        hardlink d/hard 0 1970-01-01T00:00:00Z d/big
        symlink d/soft 0 1970-01-01T00:00:00Z ../etc
    "#]]
    .assert_eq(&shown);
    assert_eq!(
        toc["entries"][1]["xattrs"]["user.a"],
        STANDARD.encode(b"\xff\x00")
    );
    assert_eq!(toc["entries"][1]["gid"], 70_000_000);
}

#[test]
fn the_tar_can_be_made_of_the_files_and_the_rest() {
    let tar = archive();
    let (blob, chunks) = chunked(&tar);
    let chunks = chunks.unwrap();
    let toc = toc(&blob, &chunks);
    let place = numbers(&chunks.annotations()[TAR_SPLIT]);
    let compressed = &blob[place[0]..place[0] + place[1]];
    assert_eq!(toc["tarSplitDigest"], Digest::of(compressed).to_string());
    let lines = part(&blob, &place);
    let mut made = Vec::new();
    for (number, line) in lines
        .split(|&b| b == b'\n')
        .filter(|it| !it.is_empty())
        .enumerate()
    {
        let line: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(line["position"], number);
        let payload = line["payload"]
            .as_str()
            .map(|it| STANDARD.decode(it).unwrap());
        match (line["type"].as_u64(), payload) {
            (Some(2), Some(raw)) => made.extend(raw),
            (Some(1), None) => {}
            (Some(1), Some(sum)) => {
                let entries = toc["entries"].as_array().unwrap();
                let entry = entries
                    .iter()
                    .find(|it| it["name"] == line["name"])
                    .unwrap();
                let content = content(&blob, entry);
                let mut found = Checksum::new();
                found.update(&content);
                assert_eq!(found.finish().to_be_bytes(), sum[..]);
                made.extend(content);
            }
            other => unreachable!("{other:?}"),
        }
    }
    assert!(made == tar);
}

#[test]
fn the_footer_says_what_the_annotations_say() {
    let (blob, chunks) = chunked(&archive());
    let said = chunks.unwrap().annotations();
    let footer = &blob[blob.len() - 64..];
    let (numbers_le, magic) = footer.split_at(56);
    assert_eq!(magic, FOOTER_MAGIC);
    let found: Vec<usize> = numbers_le
        .chunks(8)
        .map(|it| {
            u64::from_le_bytes(it.try_into().unwrap())
                .try_into()
                .unwrap()
        })
        .collect();
    let expected = [numbers(&said[POSITION]), numbers(&said[TAR_SPLIT])].concat();
    assert_eq!(found, expected);
    assert!(TableOfContents::announced(&said).is_some());
}

#[test]
fn what_json_cannot_say_has_no_table_and_is_zstd_all_the_same() {
    for tar in [
        member(b"\xff", Type::File, b"x", 0),
        member(b"a", Type::Symlink, b"\xff", 0),
        member(b"a", Type::File, b"x", NO_TIME / 2),
        member(b"a", Type::File, b"x", i64::MAX / 2),
    ] {
        let (blob, chunks) = chunked(&tar);
        assert_eq!(chunks, None);
        assert!(plain(&blob) == tar);
    }
}

#[test]
fn what_is_no_archive_is_an_error() {
    let mut tar = archive();
    tar[0] = b'X';
    assert!(write_chunked(&mut &tar[..], &mut Vec::new(), None).is_err());
    let cut = &archive()[..1 << 20];
    assert!(write_chunked(&mut &cut[..], &mut Vec::new(), None).is_err());
}
