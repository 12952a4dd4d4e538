//! zstd:chunked: a zstd layer of which single files can be fetched.
//!
//! ```text
//! frame: header │ frame: content │ … │ skipped: table of contents │ skipped: tar-split │ skipped: footer
//! ```
//!
//! Every zstd decoder reads it as the plain tar: the content of each file is one frame, and what
//! the decoder skips says where each begins. A reader that knows the format fetches the table
//! first, then only the files it lacks; with tar-split's data it makes the very tar of them.
//!
//! Knows: the layout of such a blob. Does not know: who asks for it, or where it goes.
//!
//! Invariant: bytes are made on one thread, and depend on the tar and the level only.
//!
//! The format is that of containers/storage, pkg/chunked; RFC 8878, 3.1.2 "Skippable Frames".

mod frames;
mod tar_split;
mod toc;

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    io::{self, Read, Write},
    rc::Rc,
};

use rbuild_oci::{Digest, Hasher};
use zstd::stream::{
    raw::{Encoder, Operation},
    zio::Writer,
};

use crate::{
    archive::{Archive, Member},
    encode::zstd_level,
    error::{Error, Result},
    unpack_options::Limits,
};
pub use frames::{Frame, TableOfContents};
use tar_split::TarSplit;
use toc::Toc;

/// Annotation: digest of the compressed table of contents.
const CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";
/// Annotation: where the table is: offset, size, size of its text, type.
const POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";
/// Annotation: where tar-split's data are: offset, size, size of the text.
const TAR_SPLIT: &str = "io.github.containers.zstd-chunked.tarsplit-position";
/// The type of the table, which is like that of CRFS.
const TYPE: u64 = 1;
const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// Bytes before what is skipped: the magic number and the size.
const SKIPPABLE_HEADER: u64 = 8;
const FOOTER_MAGIC: &[u8; 8] = b"GNUlInUx";
/// How much content is read at once, in bytes.
const BUFFER: usize = 128 * 1024;

/// Where the table of contents of a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    toc: Part,
    tar_split: Part,
    /// Of the compressed table.
    checksum: Digest,
}

/// A part of a blob that decoders skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    /// Of the first compressed byte.
    offset: u64,
    /// Compressed.
    size: u64,
    /// As text.
    text_size: u64,
}

impl Chunks {
    /// What a layer's descriptor says, for those who fetch single files.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let place = |part: Part| format!("{}:{}:{}", part.offset, part.size, part.text_size);
        BTreeMap::from([
            (CHECKSUM.to_owned(), self.checksum.to_string()),
            (POSITION.to_owned(), format!("{}:{TYPE}", place(self.toc))),
            (TAR_SPLIT.to_owned(), place(self.tar_split)),
        ])
    }
}

/// Compresses `tar` to `out` with a frame for each file, at `level` (zstd's 1 to 22; `None` is 3).
///
/// Returns where the table of contents is; `None` if it cannot say what is in this archive, as it
/// is JSON: a name is not UTF-8, a time is not in the years 1 to 9999; or as a file's holes
/// are left out. `out` is plain zstd then.
///
/// # Errors
/// [`Error::Damaged`] and its like if `tar` is none; [`Error::Read`], [`Error::Write`].
pub fn write_chunked(
    tar: &mut dyn Read,
    out: &mut dyn Write,
    level: Option<u32>,
) -> Result<Option<Chunks>> {
    let level = zstd_level(level);
    let seen = Rc::new(RefCell::new(VecDeque::new()));
    let mut recorder = Recorder {
        tar,
        seen: Rc::clone(&seen),
    };
    let mut chunker = Chunker {
        frames: Frames::new(out, level).map_err(Error::Write)?,
        toc: Toc::default(),
        tar_split: TarSplit::new(level).map_err(Error::Write)?,
        seen,
    };
    let mut archive = Archive::new(&mut recorder, Limits::default());
    let mut taken = 0;
    while let Some(member) = archive.next()? {
        chunker.raw(archive.offset() - taken)?;
        chunker.member(&member, &mut archive)?;
        taken = archive.offset();
    }
    // What follows the last member belongs to the layer's digest, whatever it is.
    let mut buffer = vec![0; BUFFER];
    loop {
        chunker.rest()?;
        if recorder.read(&mut buffer).map_err(Error::Read)? == 0 {
            break;
        }
    }
    chunker.finish(level)
}

/// Reads an archive and keeps what was read, until somebody takes it.
struct Recorder<'a> {
    tar: &'a mut dyn Read,
    seen: Rc<RefCell<VecDeque<u8>>>,
}

impl Read for Recorder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.seen.borrow_mut().extend(&buffer[..count]);
        Ok(count)
    }
}

/// An archive on its way into frames.
struct Chunker<'a> {
    frames: Frames<'a>,
    toc: Toc,
    tar_split: TarSplit,
    /// Bytes of the archive that were read and not taken.
    seen: Rc<RefCell<VecDeque<u8>>>,
}

impl Chunker<'_> {
    /// Takes the next `size` bytes, which are headers and padding.
    fn raw(&mut self, size: u64) -> Result<()> {
        let size = usize::try_from(size).expect("headers are bounded by Limits::header");
        let raw: Vec<u8> = self.seen.borrow_mut().drain(..size).collect();
        self.frames.write(&raw).map_err(Error::Write)?;
        self.tar_split.segment(&raw).map_err(Error::Write)
    }

    /// Takes all that was read.
    fn rest(&mut self) -> Result<()> {
        let rest = self.seen.borrow().len() as u64;
        self.raw(rest)
    }

    /// Takes the content of `member`.
    fn member(&mut self, member: &Member, archive: &mut Archive<'_>) -> Result<()> {
        if member.is_sparse {
            // The table's offsets are of the whole content.
            self.toc.refuse();
        }
        if member.size == 0 {
            self.toc.add(member, None);
            return self.tar_split.file(member, None).map_err(Error::Write);
        }
        let offset = self.frames.cut().map_err(Error::Write)?;
        let mut hasher = Hasher::new();
        let mut checksum = tar_split::Checksum::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = archive.read_stored(&mut buffer)?;
            if count == 0 {
                break;
            }
            self.seen.borrow_mut().drain(..count);
            hasher.update(&buffer[..count]);
            checksum.update(&buffer[..count]);
            self.frames.write(&buffer[..count]).map_err(Error::Write)?;
        }
        let end = self.frames.cut().map_err(Error::Write)?;
        let content = toc::Content {
            digest: hasher.finish(),
            offset,
            end,
        };
        self.toc.add(member, Some(content));
        let file = self.tar_split.file(member, Some(checksum));
        file.map_err(Error::Write)
    }

    /// Writes what is left, and the parts that decoders skip.
    fn finish(mut self, level: i32) -> Result<Option<Chunks>> {
        let offset = self.frames.cut().map_err(Error::Write)?;
        let (tar_split, split_size) = self.tar_split.finish().map_err(Error::Write)?;
        let Some(text) = self.toc.text(Digest::of(&tar_split)) else {
            return Ok(None);
        };
        let toc = zstd::encode_all(&text[..], level).map_err(Error::Write)?;
        if u32::try_from(toc.len().max(tar_split.len())).is_err() {
            return Ok(None);
        }
        let part = |offset: u64, bytes: &[u8], text_size: u64| Part {
            offset: offset + SKIPPABLE_HEADER,
            size: bytes.len() as u64,
            text_size,
        };
        let toc_part = part(offset, &toc, text.len() as u64);
        let split_part = part(toc_part.offset + toc_part.size, &tar_split, split_size);
        let footer = footer(toc_part, split_part);
        for skipped in [&toc[..], &tar_split, &footer] {
            self.frames.skipped(skipped).map_err(Error::Write)?;
        }
        Ok(Some(Chunks {
            toc: toc_part,
            tar_split: split_part,
            checksum: Digest::of(&toc),
        }))
    }
}

/// The last part: where the others are, for those who have the blob only.
fn footer(toc: Part, tar_split: Part) -> Vec<u8> {
    let numbers = [
        toc.offset,
        toc.size,
        toc.text_size,
        TYPE,
        tar_split.offset,
        tar_split.size,
        tar_split.text_size,
    ];
    let mut footer: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
    footer.extend_from_slice(FOOTER_MAGIC);
    footer
}

/// A blob that consists of frames.
struct Frames<'a> {
    /// Always there, but within [`Frames::cut`].
    writer: Option<Writer<Counted<'a>, Encoder<'static>>>,
    /// Whether the last frame has bytes.
    begun: bool,
}

impl<'a> Frames<'a> {
    fn new(out: &'a mut dyn Write, level: i32) -> io::Result<Self> {
        let out = Counted { out, size: 0 };
        Ok(Self {
            writer: Some(Writer::new(out, Encoder::new(level)?)),
            begun: false,
        })
    }

    fn writer(&mut self) -> &mut Writer<Counted<'a>, Encoder<'static>> {
        self.writer.as_mut().expect("cut() puts it back")
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.begun |= !bytes.is_empty();
        self.writer().write_all(bytes)
    }

    /// Ends the frame, if it has bytes; returns where the next one begins.
    fn cut(&mut self) -> io::Result<u64> {
        if std::mem::take(&mut self.begun) {
            self.writer().finish()?;
            let writer = self.writer.take().expect("cut() puts it back");
            let (out, mut encoder) = writer.into_inner();
            encoder.reinit()?;
            self.writer = Some(Writer::new(out, encoder));
        }
        Ok(self.writer().writer().size)
    }

    /// Writes bytes that decoders skip; no frame is begun.
    fn skipped(&mut self, bytes: &[u8]) -> io::Result<()> {
        let size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let out = self.writer().writer_mut();
        out.write_all(&SKIPPABLE)?;
        out.write_all(&size.to_le_bytes())?;
        out.write_all(bytes)
    }
}

/// Counts what is written through it.
struct Counted<'a> {
    out: &'a mut dyn Write,
    size: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
