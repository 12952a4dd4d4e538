//! The members of a tar archive, one after the other.
//!
//! Understands v7, ustar, PAX and GNU headers as Go's archive/tar does, since that is what
//! other image tools read layers with; what two readers could understand differently is refused.
//!
//! Invariant: memory is bounded by [`Limits::header`], and the next header is where the size in
//! effect (PAX before ustar) says, so that nothing hides between members (CVE-2025-62518).

mod sparse;

use std::io::{BufReader, Read};

use rbuild_sys::Timestamp;

use crate::{
    error::{Error, Result, shown},
    header::{BLOCK, Type, padding},
    pax,
    unpack_options::Limits,
};

use sparse::{Cursor, Map, MapText, Next, Records, Said};

/// Input buffer, in bytes.
const BUFFER: usize = 128 * 1024;
/// What is wrong with a file whose holes are left out.
const HOLES: &str = "impossible holes";
/// Bytes of a piece in GNU's headers.
const PIECE: u64 = 24;

/// Whether `start`, the first 512 or more bytes of a file, begins a tar archive.
pub fn is_tar(start: &[u8]) -> bool {
    start
        .first_chunk::<BLOCK>()
        .is_some_and(|block| block[0] != 0 && checksum_fits(block))
}

/// A reader of members.
pub(crate) struct Archive<'a> {
    input: BufReader<&'a mut dyn Read>,
    limits: Limits,
    /// Bytes read.
    offset: u64,
    /// Bytes of the current member's content that are still to be read.
    left: u64,
    /// Zeros after the content.
    padding: u64,
    /// Where the current member has holes.
    holes: Option<Cursor>,
}

/// What the headers of one member say.
#[derive(Debug)]
pub(crate) struct Member {
    pub kind: Type,
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Of the content, holes included.
    pub size: u64,
    /// Whether the archive leaves holes of the content out.
    pub is_sparse: bool,
    pub mtime: Timestamp,
    pub rdev: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What the headers before a member's own say about it.
#[derive(Default)]
struct Prelude {
    pax: Vec<u8>,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<'a> Archive<'a> {
    pub(crate) fn new(input: &'a mut dyn Read, limits: Limits) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
            limits,
            offset: 0,
            left: 0,
            padding: 0,
            holes: None,
        }
    }

    /// The next member; `None` at the end. The content that was not read is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Member>> {
        self.skip_content()?;
        let start = self.offset;
        let mut prelude = Prelude::default();
        while let Some(block) = self.block()? {
            if !checksum_fits(&block) {
                return Err(self.damaged(match self.offset == block.len() as u64 {
                    true => "it does not begin as a tar does",
                    false => "wrong checksum",
                }));
            }
            let header = tar::Header::from_byte_slice(&block);
            let flag = block[156];
            match flag {
                b'x' => prelude.pax = self.extension(header)?,
                b'g' => self.global(header)?,
                b'L' => prelude.long_path = Some(until_nul(self.extension(header)?)),
                b'K' => prelude.long_link = Some(until_nul(self.extension(header)?)),
                _ => return self.member(header, prelude).map(Some),
            }
        }
        if prelude.pax.is_empty() && prelude.long_path.is_none() && prelude.long_link.is_none() {
            return Ok(None);
        }
        Err(Error::Damaged {
            offset: start,
            why: "an extended header without a member",
        })
    }

    /// Bytes read so far: where the current member's content starts, until it is read.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads content of the current member; 0 at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let room = buffer.len();
        let count = match self.holes.as_mut().map(|holes| holes.next(room)) {
            None => return self.read_stored(buffer),
            Some(Next::End) => 0,
            Some(Next::Hole(count)) => {
                buffer[..count].fill(0);
                count
            }
            Some(Next::Stored(count)) => self.read_stored(&mut buffer[..count])?,
        };
        if let Some(holes) = &mut self.holes {
            holes.advance(count);
        }
        Ok(count)
    }

    /// The same without holes: what the archive has.
    pub(crate) fn read_stored(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        loop {
            match self.input.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(self.damaged("it ends within a member")),
                Ok(count) => {
                    self.left -= count as u64;
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
    }

    fn skip_content(&mut self) -> Result<()> {
        self.holes = None;
        self.left = self
            .left
            .checked_add(std::mem::take(&mut self.padding))
            .ok_or_else(|| self.damaged("impossible size"))?;
        let mut waste = [0; 4096];
        while self.read_stored(&mut waste)? > 0 {}
        Ok(())
    }

    /// The next header block; `None` at the end of the archive (with or without its zeros).
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        match self.raw_block()? {
            Some(block) if block == [0; BLOCK] => match self.raw_block()? {
                Some(second) if second != [0; BLOCK] => Err(self.damaged("a lone block of zeros")),
                _ => Ok(None),
            },
            block => Ok(block),
        }
    }

    fn raw_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.damaged("it ends within a header")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
        self.offset += BLOCK as u64;
        Ok(Some(block))
    }

    /// The whole content of an extension header.
    fn extension(&mut self, header: &tar::Header) -> Result<Vec<u8>> {
        let size = self.size(header)?;
        let allowed = self.limits.header;
        if size > allowed {
            let path = shown(&header.path_bytes());
            return Err(Error::Limit {
                path,
                limit: "header",
                allowed,
            });
        }
        let mut content = vec![0; usize::try_from(size).expect("below the limit")];
        self.left = size;
        self.padding = padding(size) as u64;
        let mut filled = 0;
        while filled < content.len() {
            filled += self.read(&mut content[filled..])?;
        }
        self.skip_content()?;
        Ok(content)
    }

    /// Global records (git writes a comment) are read over, like other image tools do.
    fn global(&mut self, header: &tar::Header) -> Result<()> {
        let records = self.extension(header)?;
        let mut rest = &records[..];
        while !rest.is_empty() {
            let (key, _, next) = pax::split(rest).ok_or_else(|| self.damaged("PAX record"))?;
            if matches!(key, b"size" | b"path" | b"linkpath") {
                return Err(self.damaged("a global header that names or sizes members"));
            }
            rest = next;
        }
        Ok(())
    }

    fn member(&mut self, header: &tar::Header, prelude: Prelude) -> Result<Member> {
        let old = header.as_old();
        let number = |field: &[u8], value: std::io::Result<u64>| match value {
            Ok(value) => Ok(value),
            Err(_) if field.iter().all(|&b| b == b' ' || b == 0) => Ok(0),
            Err(_) => Err(self.damaged("a field is not a number")),
        };
        let mtime = number(&old.mtime, header.mtime())?;
        let device = |part: std::io::Result<Option<u32>>| part.ok().flatten().unwrap_or(0);
        let mut member = Member {
            kind: Type::File,
            path: header.path_bytes().into_owned(),
            link: header
                .link_name_bytes()
                .map_or_else(Vec::new, std::borrow::Cow::into_owned),
            mode: number(&old.mode, header.mode().map(u64::from))? as u32 & 0o7777,
            uid: number(&old.uid, header.uid())?,
            gid: number(&old.gid, header.gid())?,
            size: self.size(header)?,
            is_sparse: false,
            mtime: Timestamp {
                seconds: mtime.cast_signed(),
                nanoseconds: 0,
            },
            rdev: (device(header.device_major()), device(header.device_minor())),
            xattrs: Vec::new(),
        };
        let mut records = Records::default();
        self.apply(&prelude.pax, (&mut member, &mut records))?;
        if let Some(path) = prelude.long_path {
            member.path = path;
        }
        if let Some(link) = prelude.long_link {
            member.link = link;
        }
        member.kind = kind(old.linkflag[0], &member.path)?;
        if member.kind != Type::File {
            // Such members have no content, whatever their size says (as in Go and Python).
            member.size = 0;
        }
        let map = self.gnu_map(header)?;
        self.left = member.size;
        self.padding = padding(member.size) as u64;
        let map = match (map, records.said().ok_or_else(|| self.damaged(HOLES))?) {
            (map, Said::Nothing) => map,
            (None, Said::Here(map)) => Some(map),
            (None, Said::InContent(size)) => Some(self.map_in_content(size)?),
            (Some(_), _) => return Err(self.damaged(HOLES)),
        };
        if let Some(map) = map {
            if member.kind != Type::File || map.stored() != self.left {
                return Err(self.damaged(HOLES));
            }
            if !records.name.is_empty() {
                member.path = records.name;
            }
            member.size = map.size;
            member.is_sparse = true;
            self.holes = Some(Cursor::new(map));
        }
        Ok(member)
    }

    /// The map in a header of GNU's own kind and in the blocks that continue it; `None` if it is
    /// of another kind.
    fn gnu_map(&mut self, header: &tar::Header) -> Result<Option<Map>> {
        if header.as_old().linkflag != *b"S" {
            return Ok(None);
        }
        let bad = || self.damaged(HOLES);
        let gnu = header.as_gnu().ok_or_else(bad)?;
        let size = gnu.real_size().map_err(|_| bad())?;
        let mut pieces = Vec::new();
        let mut add = |all: &[tar::GnuSparseHeader]| {
            for piece in all.iter().filter(|piece| !piece.is_empty()) {
                pieces.push((piece.offset()?, piece.length()?));
            }
            Ok::<_, std::io::Error>(pieces.len() as u64)
        };
        let mut count = add(&gnu.sparse).map_err(|_| bad())?;
        let mut goes_on = gnu.is_extended();
        while goes_on {
            let block = self.raw_block()?;
            let block = block.ok_or_else(|| self.damaged("it ends within a header"))?;
            let mut more = tar::GnuExtSparseHeader::new();
            *more.as_mut_bytes() = block;
            let found = add(&more.sparse).map_err(|_| self.damaged(HOLES))?;
            goes_on = more.is_extended();
            // A block that adds nothing would go on for ever.
            if found == count || found > self.limits.header / PIECE {
                return Err(self.damaged(HOLES));
            }
            count = found;
        }
        let map = Map::new(pieces, size);
        map.map(Some).ok_or_else(|| self.damaged(HOLES))
    }

    /// The map before the content of a file of that size; PAX, version 1.0.
    fn map_in_content(&mut self, size: u64) -> Result<Map> {
        let mut text = MapText::default();
        let mut read = 0;
        loop {
            let mut block = [0; BLOCK];
            let mut filled = 0;
            while filled < BLOCK {
                match self.read_stored(&mut block[filled..])? {
                    0 => return Err(self.damaged(HOLES)),
                    count => filled += count,
                }
            }
            read += BLOCK as u64;
            let is_last = text.take(&block).filter(|_| read <= self.limits.header);
            if is_last.ok_or_else(|| self.damaged(HOLES))? {
                return text.map(size).ok_or_else(|| self.damaged(HOLES));
            }
        }
    }

    /// Applies the PAX records to `member`; an empty value means that the header holds.
    fn apply(&self, records: &[u8], (member, holes): (&mut Member, &mut Records)) -> Result<()> {
        let bad = || self.damaged("PAX record");
        let mut rest = records;
        while !rest.is_empty() {
            let (key, value, next) = pax::split(rest).ok_or_else(bad)?;
            rest = next;
            match key {
                _ if key.starts_with(pax::XATTR) => {
                    member
                        .xattrs
                        .push((key[pax::XATTR.len()..].to_vec(), value.to_vec()));
                }
                _ if key.starts_with(sparse::KEYS) => {
                    let key = &key[sparse::KEYS.len()..];
                    holes.take(key, value).ok_or_else(|| self.damaged(HOLES))?;
                }
                _ if value.is_empty() => {}
                b"path" => member.path = value.to_vec(),
                b"linkpath" => member.link = value.to_vec(),
                b"uid" => member.uid = pax::decimal(value).ok_or_else(bad)?,
                b"gid" => member.gid = pax::decimal(value).ok_or_else(bad)?,
                b"size" => member.size = pax::decimal(value).ok_or_else(bad)?,
                b"mtime" => member.mtime = pax::time(value).ok_or_else(bad)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The size in `header`, which all readers must understand alike.
    fn size(&self, header: &tar::Header) -> Result<u64> {
        let field = &header.as_old().size;
        let binary = field[0] & 0x80 != 0;
        let odd = if binary {
            field[0] != 0x80 || field[1..4] != [0; 3]
        } else {
            field.contains(&b'+')
        };
        let blank = field.iter().all(|&b| b == b' ' || b == 0);
        match header.entry_size() {
            _ if blank => Ok(0),
            Ok(size) if !odd && size <= i64::MAX.cast_unsigned() => Ok(size),
            _ => Err(self.damaged("impossible size")),
        }
    }

    fn damaged(&self, why: &'static str) -> Error {
        Error::Damaged {
            offset: self.offset,
            why,
        }
    }
}

/// What type flag `flag` means; old archives mark a directory by the slash only.
fn kind(flag: u8, path: &[u8]) -> Result<Type> {
    Ok(match flag {
        b'0' | 0 if path.ends_with(b"/") => Type::Directory,
        b'0' | 0 | b'7' | b'S' => Type::File,
        b'1' => Type::HardLink,
        b'2' => Type::Symlink,
        b'3' => Type::CharDevice,
        b'4' => Type::BlockDevice,
        b'5' => Type::Directory,
        b'6' => Type::Fifo,
        _ => {
            let why = "has a type that is not known";
            return Err(Error::Refused {
                path: shown(path),
                why,
            });
        }
    })
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(end) = text.iter().position(|&b| b == 0) {
        text.truncate(end);
    }
    text
}

/// Some old tars summed signed bytes.
fn checksum_fits(block: &[u8; BLOCK]) -> bool {
    let rest = || block[..148].iter().chain(&block[156..]);
    let unsigned: i64 = 8 * 32 + rest().map(|&b| i64::from(b)).sum::<i64>();
    let signed: i64 = 8 * 32 + rest().map(|&b| i64::from(b.cast_signed())).sum::<i64>();
    let found = tar::Header::from_byte_slice(block).cksum();
    found.is_ok_and(|found| i64::from(found) == unsigned || i64::from(found) == signed)
}
