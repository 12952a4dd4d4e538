//! A blob put together from what the store has and from what is missing of it.
//!
//! ```text
//! frames of the new blob:  headers │ content │ headers │ content │ …   │ table of contents
//! pieces:                  kept (of another blob) │ missing │ kept │ … │ tail, fetched first
//! ```
//!
//! Knows: which pieces are worth a request. Does not know: whether the result is right: it is read
//! like a blob that comes from anywhere, and verified by who reads it.

use std::{
    io::{self, Cursor, Read},
    ops::Range,
    vec,
};

use rbuild_layer::{Frame, TableOfContents};
use rbuild_oci::Descriptor;
use rbuild_registry::Repository;

use super::stock::{Place, Stock, TAIL_LIMIT};

/// What is kept between two missing pieces is fetched with them if it has fewer bytes.
const LEAST_KEPT: u64 = 64 * 1024;
/// Missing pieces of a blob.
const REQUESTS: usize = 64;
/// Smaller blobs are fetched whole, in bytes.
const LEAST_BLOB: u64 = 1 << 20;

/// Consecutive bytes of the blob.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    range: Range<u64>,
    /// `None`: missing.
    kept: Option<Place>,
}

impl Piece {
    const fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether `next` is from the same place.
    fn leads_to(&self, next: &Self) -> bool {
        match (self.kept, next.kept) {
            (Some(place), Some(next)) => place.leads_to(&next, self.size()),
            (None, None) => true,
            _ => false,
        }
    }
}

/// Reads the blob.
pub struct Patchwork<'a> {
    repository: &'a Repository,
    blob: &'a Descriptor,
    stock: &'a Stock<'a>,
    kept: u64,
    /// After the current one.
    pieces: vec::IntoIter<Piece>,
    /// After the last piece.
    tail: Option<Vec<u8>>,
    current: Box<dyn Read + 'a>,
}

impl<'a> Patchwork<'a> {
    /// Fetches the table of contents of `blob`, and finds what `stock` has of the rest.
    ///
    /// `None` if it is better fetched whole: it has no such table, it is small, the registry serves
    /// no parts, or `stock` has less than a quarter of it.
    pub fn of(
        repository: &'a Repository,
        blob: &'a Descriptor,
        stock: &'a Stock<'a>,
    ) -> Option<Self> {
        let table = TableOfContents::announced(&blob.annotations)?;
        let tail_size = blob.size.checked_sub(table.tail())?;
        if blob.size < LEAST_BLOB || tail_size > TAIL_LIMIT || stock.is_empty() {
            return None;
        }
        let mut tail = Vec::new();
        let part = repository.blob_part(blob, table.tail()..blob.size).ok()?;
        part.take(tail_size).read_to_end(&mut tail).ok()?;
        let pieces = pieces(&table.frames(&tail)?, |frame| stock.place(frame));
        let kept: u64 = pieces
            .iter()
            .filter(|it| it.kept.is_some())
            .map(Piece::size)
            .sum();
        (kept >= blob.size / 4).then(|| Self {
            repository,
            blob,
            stock,
            kept,
            pieces: pieces.into_iter(),
            tail: Some(tail),
            current: Box::new(io::empty()),
        })
    }

    /// How many bytes of the blob are not fetched.
    pub const fn kept(&self) -> u64 {
        self.kept
    }

    /// The next bytes; `None` at the end of the blob.
    fn next(&mut self) -> io::Result<Option<Box<dyn Read + 'a>>> {
        let Some(piece) = self.pieces.next() else {
            let tail = self.tail.take();
            return Ok(tail.map(|tail| Box::new(Cursor::new(tail)) as _));
        };
        Ok(Some(match piece.kept {
            Some(place) => Box::new(self.stock.section(place, piece.size())),
            None => {
                let part = self.repository.blob_part(self.blob, piece.range);
                Box::new(part.map_err(io::Error::other)?)
            }
        }))
    }
}

impl Read for Patchwork<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.next()? {
                Some(next) => self.current = next,
                None => return Ok(0),
            }
        }
    }
}

/// Where to take the bytes of `frames` from; as few missing pieces as are worth it.
fn pieces(frames: &[Frame], find: impl Fn(&Frame) -> Option<Place>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for frame in frames {
        let range = frame.range.clone();
        let kept = find(frame);
        push(&mut pieces, Piece { range, kept });
    }
    let least = least_kept(&pieces);
    let mut worth: Vec<Piece> = Vec::new();
    for run in pieces.chunk_by(|one, next| one.kept.is_some() && next.kept.is_some()) {
        let is_short = length(run) < least;
        for piece in run {
            let kept = piece.kept.filter(|_| !is_short);
            let range = piece.range.clone();
            push(&mut worth, Piece { range, kept });
        }
    }
    worth
}

/// How many bytes must be kept one after the other, so that there are not too many requests.
fn least_kept(pieces: &[Piece]) -> u64 {
    let runs = pieces.chunk_by(|one, next| one.kept.is_some() && next.kept.is_some());
    let runs = runs.filter(|run| run[0].kept.is_some());
    let mut lengths: Vec<u64> = runs.map(length).collect();
    lengths.sort_unstable_by(|one, other| other.cmp(one));
    let excess = lengths.get(REQUESTS).map_or(0, |length| length + 1);
    excess.max(LEAST_KEPT)
}

fn length(run: &[Piece]) -> u64 {
    run.iter().map(Piece::size).sum()
}

/// Adds `piece`, to the last one if it goes on there.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match pieces.last_mut() {
        Some(last) if last.leads_to(&piece) => last.range.end = piece.range.end,
        _ => pieces.push(piece),
    }
}

#[cfg(test)]
mod tests {
    use rbuild_layer::Frame;
    use rbuild_oci::Digest;

    use super::{LEAST_KEPT, Piece, Place, REQUESTS, pieces};

    /// Bytes from `start`, kept at `place`: its blob and offset.
    fn piece(start: u64, end: u64, place: Option<(usize, u64)>) -> Piece {
        let kept = place.map(|(blob, offset)| Place { blob, offset });
        let range = start..end;
        Piece { range, kept }
    }

    /// The pieces of frames that are kept at such places.
    fn plan(frames: &[Piece]) -> Vec<Piece> {
        let content = Digest::of(b"any");
        let asked = frames.iter().map(|it| Frame {
            content,
            range: it.range.clone(),
        });
        let asked: Vec<Frame> = asked.collect();
        pieces(&asked, |frame| {
            let found = frames.iter().find(|it| it.range == frame.range);
            found.unwrap().kept
        })
    }

    const BIG: u64 = LEAST_KEPT;

    #[test]
    fn what_goes_on_at_the_same_place_is_one_piece() {
        let kept = [
            piece(0, BIG, Some((0, 7))),
            piece(BIG, BIG + 9, Some((0, BIG + 7))),
        ];
        assert_eq!(plan(&kept), [piece(0, BIG + 9, Some((0, 7)))]);
        let missing = [piece(0, 5, None), piece(5, 9, None)];
        assert_eq!(plan(&missing), [piece(0, 9, None)]);
        let elsewhere = [
            piece(0, BIG, Some((0, 7))),
            piece(BIG, BIG + 9, Some((1, BIG + 7))),
        ];
        assert_eq!(plan(&elsewhere), elsewhere);
    }

    #[test]
    fn a_few_kept_bytes_are_not_worth_a_request() {
        let little = [
            piece(0, 5, None),
            piece(5, 5 + BIG - 1, Some((0, 0))),
            piece(BIG + 4, BIG + 9, None),
        ];
        assert_eq!(plan(&little), [piece(0, BIG + 9, None)]);
        let enough = [
            piece(0, 5, None),
            piece(5, 5 + BIG, Some((0, 0))),
            piece(BIG + 5, BIG + 9, None),
        ];
        assert_eq!(plan(&enough), enough);
        // Two small ones that are not of the same place, but side by side.
        let both = [
            piece(0, 5, None),
            piece(5, 5 + BIG / 2, Some((0, 0))),
            piece(5 + BIG / 2, 5 + BIG, Some((1, 0))),
        ];
        assert_eq!(plan(&both), both);
    }

    #[test]
    fn requests_are_bounded() {
        let mut frames = Vec::new();
        let mut at = 0;
        for number in 0..REQUESTS as u64 * 3 {
            frames.push(piece(at, at + 10, None));
            frames.push(piece(at + 10, at + 10 + BIG + number, Some((0, at))));
            at += 10 + BIG + number;
        }
        let planned = plan(&frames);
        let missing = planned.iter().filter(|it| it.kept.is_none()).count();
        assert!((REQUESTS / 2..=REQUESTS).contains(&missing), "{missing}");
        assert_eq!(planned.last(), frames.last(), "the largest is kept");
    }
}
