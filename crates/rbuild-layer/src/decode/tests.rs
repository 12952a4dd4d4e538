//! Codecs that are read and never written.

use std::io::{Read, Write};

use rbuild_oci::media_type::Compression;

use super::{Codec, Decoder, NOTHING, sniff};
use crate::encode::{Encoder, EncoderOptions};

const TEXT: &[u8] = b"the quick brown fox jumps over the lazy dog";

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn decode(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut decoded = Vec::new();
    Decoder::new(bytes, sniff(bytes), 1_000)?.read_to_end(&mut decoded)?;
    Ok(decoded)
}

#[track_caller]
fn check(encode: fn(&[u8]) -> Vec<u8>, codec: Codec) {
    let (bytes, nothing) = (encode(TEXT), encode(b""));
    assert_eq!((sniff(&bytes), sniff(&nothing)), (codec, codec));
    assert_eq!(decode(&bytes).unwrap(), TEXT);
    assert_eq!(decode(&nothing).unwrap(), b"");
    let twice = [&bytes[..], &bytes].concat();
    assert_eq!(decode(&twice).unwrap(), [TEXT, TEXT].concat());
    for end in [12, bytes.len() / 2, bytes.len() - 1] {
        assert!(decode(&bytes[..end]).is_err(), "{codec:?} ends after {end}");
    }
}

#[test]
fn bzip2_and_xz_are_read_with_all_their_members() {
    check(bzip2, Codec::Bzip2);
    check(xz, Codec::Xz);
}

#[test]
fn a_text_that_looks_like_bzip2_is_a_text() {
    assert_eq!(sniff(b"BZh9 is how it starts"), Codec::None);
}

#[test]
fn xz_that_wants_much_memory_is_refused() {
    // A small archive whose header announces a large dictionary: LZMA2's property byte.
    let mut bytes = xz(TEXT);
    let at = bytes
        .windows(2)
        .position(|pair| pair == [0x21, 0x01])
        .unwrap()
        + 2;
    bytes[at] = 34; // 512 MiB
    let header = 12..12 + (usize::from(bytes[12]) + 1) * 4 - 4;
    let crc = crc32(&bytes[header.clone()]);
    bytes[header.end..header.end + 4].copy_from_slice(&crc.to_le_bytes());
    assert!(decode(&bytes).is_err());
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn a_layer_is_read_as_what_it_is_wherever_it_is_said_to_be_compressed() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(TEXT.len() as u64);
    tar.append_data(&mut header, "file", TEXT).unwrap();
    let tar = tar.into_inner().unwrap();
    let encoded = |compression| {
        let mut encoder = Encoder::new(Vec::new(), &EncoderOptions::new(compression)).unwrap();
        encoder.write_all(&tar).unwrap();
        encoder.finish().unwrap()
    };
    let decoded = |bytes: &[u8], said| {
        let mut found = Vec::new();
        let decoder = Decoder::of_layer(bytes, said, 1_000).unwrap();
        { decoder }.read_to_end(&mut found).map(|_| found)
    };
    let all = [Compression::None, Compression::Gzip, Compression::Zstd];
    for is in all {
        for said in &all[1..] {
            let found = decoded(&encoded(is), *said).unwrap();
            assert!(found == tar, "{is:?}, said to be {said:?}");
        }
    }
    // What is said to be plain is: a name can look like gzip.
    assert!(decoded(&encoded(Compression::Gzip), Compression::None).unwrap() != tar);
    assert_eq!(
        decoded(&[0; 1024], Compression::Gzip).unwrap(),
        [NOTHING; 2].concat()
    );
    assert!(decoded(TEXT, Compression::Gzip).is_err());
}
