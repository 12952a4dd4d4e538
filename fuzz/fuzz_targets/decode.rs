//! Compressed bytes are decoded or refused, in bounded memory; what we compress is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_layer::{Codec, Decoder, Encoder, EncoderOptions, sniff};
use rbuild_oci::media_type::Compression;
use std::io::{Read, Write};

/// No more is decoded of one input, in bytes.
const ENOUGH: u64 = 8 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else {
        return;
    };
    let codec = match first % 6 {
        0 => sniff(bytes),
        1 => Codec::Gzip,
        2 => Codec::Bzip2,
        3 => Codec::Xz,
        4 => Codec::Zstd,
        _ => Codec::None,
    };
    if let Ok(decoder) = Decoder::new(bytes, codec, 1_000) {
        let mut out = Vec::new();
        let _ = decoder.take(ENOUGH).read_to_end(&mut out);
    }
    let compression = match first % 3 {
        0 => Compression::Gzip,
        1 => Compression::Zstd,
        _ => Compression::None,
    };
    let options = EncoderOptions {
        compression,
        level: Some(u32::from(first % 10)),
        threads: 1,
    };
    let mut encoder = Encoder::new(Vec::new(), &options).expect("memory is there");
    encoder.write_all(bytes).expect("memory is there");
    let encoded = encoder.finish().expect("memory is there");
    let mut again = Vec::new();
    let mut decoder = Decoder::new(&encoded[..], compression, u64::MAX).expect("memory is there");
    decoder
        .read_to_end(&mut again)
        .expect("what we wrote is read");
    assert!(again == bytes);
});
