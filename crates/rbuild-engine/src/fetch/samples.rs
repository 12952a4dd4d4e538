//! Archives for tests, honest and hostile.

use std::io::Write;

use rbuild_layer::Codec;
use tar::EntryType;

/// An archive of `(kind, path, content or link target)`; paths are taken as they are.
pub(super) fn packed(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for &(kind, path, text) in entries {
        let mut header = tar::Header::new_gnu();
        let content = if kind == EntryType::Regular { text } else { "" };
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        if content.is_empty() {
            gnu.linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory {
            0o750
        } else {
            0o640
        });
        header.set_uid(5);
        header.set_gid(6);
        header.set_mtime(7);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// `bytes` in all ways that are understood.
pub(super) fn compressed(bytes: &[u8]) -> Vec<(Codec, Vec<u8>)> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(bytes).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(bytes).unwrap();
    vec![
        (Codec::None, bytes.to_vec()),
        (Codec::Gzip, gzip.finish().unwrap()),
        (Codec::Bzip2, bzip2.finish().unwrap()),
        (Codec::Xz, xz.finish().unwrap()),
        (Codec::Zstd, zstd::encode_all(bytes, 1).unwrap()),
    ]
}
