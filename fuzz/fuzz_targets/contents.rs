//! A zstd:chunked table of contents is refused, or its frames are the blob's bytes before it.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use rbuild_layer::TableOfContents;
use rbuild_oci::Digest;

/// Where the table is.
const OFFSET: u64 = 4096;

fuzz_target!(|text: &[u8]| {
    let compressed = zstd::encode_all(text, 1).expect("memory suffices");
    let prefix = "io.github.containers.zstd-chunked.manifest-";
    let annotations = BTreeMap::from([
        (
            format!("{prefix}checksum"),
            Digest::of(&compressed).to_string(),
        ),
        (
            format!("{prefix}position"),
            format!("{OFFSET}:{}:{}:1", compressed.len(), text.len()),
        ),
    ]);
    let table = TableOfContents::announced(&annotations).expect("it is");
    let tail = [&[0; 8], &compressed[..]].concat();
    let Some(frames) = table.frames(&tail) else {
        return;
    };
    let mut end = 0;
    for frame in frames {
        assert_eq!(frame.range.start, end);
        assert!(frame.range.end > end);
        end = frame.range.end;
    }
    assert_eq!(end, table.tail());
});
