//! What the encoder writes, read by our decoder and by gzip(1).

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use rbuild_oci::media_type::Compression;

use super::{Encoder, EncoderOptions};
use crate::decode::{Decoder, sniff};

/// Bytes that do not compress.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect()
}

fn text(size: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u32| format!("line {n} of {}\n", n % 97).into_bytes())
        .take(size)
        .collect()
}

fn encoded(input: &[u8], compression: Compression, threads: usize) -> Vec<u8> {
    let options = EncoderOptions {
        compression,
        level: None,
        threads,
    };
    let mut encoder = Encoder::new(Vec::new(), &options).unwrap();
    for piece in input.chunks(70_001) {
        encoder.write_all(piece).unwrap();
    }
    encoder.finish().unwrap()
}

fn inputs() -> Vec<Vec<u8>> {
    let mixed = [text(1 << 20), noise(2 << 20), text(3_000_000)].concat();
    vec![
        vec![],
        b"x".to_vec(),
        text(1 << 20),
        text(5_000_000),
        noise((3 << 20) + 17),
        mixed,
    ]
}

#[test]
fn what_was_encoded_is_decoded() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        for input in inputs() {
            let bytes = encoded(&input, compression, 2);
            if !input.is_empty() {
                assert_eq!(sniff(&bytes), compression.into());
            }
            let mut output = Vec::new();
            let mut decoder = Decoder::new(&bytes[..], compression, 2_000).unwrap();
            decoder.read_to_end(&mut output).unwrap();
            assert!(output == input, "{compression:?}, {} bytes", input.len());
        }
    }
}

#[test]
fn the_number_of_threads_does_not_show() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        for input in inputs() {
            let one = encoded(&input, compression, 1);
            for threads in [2, 3, 12] {
                assert!(
                    encoded(&input, compression, threads) == one,
                    "{compression:?} {threads}"
                );
            }
        }
    }
}

#[test]
fn gzip_reads_it() {
    for input in inputs() {
        let mut child = Command::new("gzip")
            .arg("-dc")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = encoded(&input, Compression::Gzip, 3);
        let writer = std::thread::spawn(move || stdin.write_all(&bytes));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(
            output.status.success() && output.stdout == input,
            "{} bytes",
            input.len()
        );
    }
}

#[test]
fn noise_is_stored_and_text_shrinks() {
    let noise = noise(4 << 20);
    let size = encoded(&noise, Compression::Gzip, 2).len();
    assert!(size < noise.len() + noise.len() / 5_000, "{size}");
    assert!(encoded(&text(4 << 20), Compression::Gzip, 2).len() < 1 << 20);
}

#[test]
fn members_behind_each_other_are_one_stream() {
    let twice = [
        encoded(b"one", Compression::Gzip, 1),
        encoded(b"two", Compression::Gzip, 1),
    ];
    let twice = twice.concat();
    let mut output = String::new();
    let mut decoder = Decoder::new(&twice[..], Compression::Gzip, 2_000).unwrap();
    decoder.read_to_string(&mut output).unwrap();
    assert_eq!(output, "onetwo");
}
