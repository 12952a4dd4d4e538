//! An archive is read to its end or refused; cut into frames it is the same archive again, and what
//! its table of contents says is where it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_layer::{Catalog, Decoder, is_tar, write_chunked};
use rbuild_oci::media_type::Compression;
use std::io::{Read, Seek, Write};

fuzz_target!(|tar: &[u8]| {
    let _ = is_tar(tar);
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(tar)
        .and_then(|()| file.rewind())
        .expect("it is written");
    if let Ok(catalog) = Catalog::of(file) {
        for name in ["manifest.json", "index.json", "a", "/a/../b", ""] {
            if let Some(mut section) = catalog.open(name) {
                let mut content = Vec::new();
                let _ = section.read_to_end(&mut content);
                assert!(content.len() <= tar.len());
            }
            let _ = catalog.has_below(name);
        }
    }
    let mut blob = Vec::new();
    let Ok(chunks) = write_chunked(&mut &tar[..], &mut blob, Some(1)) else {
        return;
    };
    let mut again = Vec::new();
    let mut decoder = Decoder::new(&blob[..], Compression::Zstd, u64::MAX).expect("zstd");
    decoder
        .read_to_end(&mut again)
        .expect("what we wrote is read");
    assert!(again == tar, "the archive is another one");
    let Some(chunks) = chunks else { return };
    for (key, place) in chunks.annotations() {
        let numbers: Vec<usize> = place.split(':').flat_map(str::parse).collect();
        if let [offset, size, text_size, ..] = numbers[..] {
            let text = zstd_text(&blob[offset..offset + size]);
            assert_eq!(text.len(), text_size, "{key}");
        }
    }
});

fn zstd_text(part: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut decoder = Decoder::new(part, Compression::Zstd, u64::MAX).expect("zstd");
    decoder
        .read_to_end(&mut text)
        .expect("what we wrote is read");
    text
}
