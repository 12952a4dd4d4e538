//! Blobs: immutable bytes, found by their digest.
//!
//! Invariant: a blob has its name only after all its bytes were hashed and found right.

use std::{
    fs::File,
    io::{self, Write},
    sync::Arc,
};

use rbuild_oci::{BlobDigest, Hasher};
use rbuild_sys::{Dir, Errno, WriteBehind};

use crate::{
    Session, Store,
    error::{Context, Error, Result},
    gc::aside,
    record,
};

/// A blob that is being written. Dropping it without [`BlobWriter::commit`] leaves nothing.
#[derive(Debug)]
pub struct BlobWriter<'session> {
    session: &'session Session,
    staging: Arc<Dir>,
    file: File,
    /// Where the file is in staging; `None` if it has no name yet.
    name: Option<Vec<u8>>,
    hasher: HashState,
    /// All of it has to be on the disk in the end.
    behind: WriteBehind,
}

/// A [`Hasher`] with nothing to show.
struct HashState(Hasher);

impl std::fmt::Debug for HashState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.size())
    }
}

impl Session {
    /// Starts a blob.
    ///
    /// # Errors
    /// [`Error::Write`] if no file can be created.
    pub fn blob(&self) -> Result<BlobWriter<'_>> {
        let staging = Arc::clone(self.staging());
        let (file, name) = match staging.create_unnamed(0o400) {
            Ok(file) => (file, None),
            // No O_TMPFILE here: a named file will do.
            Err(_) => {
                let name = self.unused_name();
                let file = staging
                    .create(&name, 0o400)
                    .writing(|| "a blob".to_owned())?;
                (file, Some(name))
            }
        };
        Ok(BlobWriter {
            session: self,
            staging,
            file,
            name,
            hasher: HashState(Hasher::new()),
            behind: WriteBehind::default(),
        })
    }

    /// Opens blob `digest` as [`Store::open_blob`] does, and keeps it from being deleted as long
    /// as this session lives.
    ///
    /// # Errors
    /// [`Error::Write`] if the lease cannot be extended, [`Error::Read`] if it is there and cannot
    /// be opened.
    pub fn open_blob(&self, digest: &BlobDigest) -> Result<Option<File>> {
        self.hold(digest)?;
        self.store().open_blob(digest)
    }
}

impl BlobWriter<'_> {
    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.hasher.0.size()
    }

    /// Makes the blob visible if it is what `expected` says (digest and size in bytes;
    /// `None`: whatever it is), and returns its digest.
    ///
    /// Atomic. A blob that is there already stays, unless its size is wrong.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the bytes are others, [`Error::Write`] if the disk refuses;
    /// nothing is visible then.
    pub fn commit(mut self, expected: Option<(BlobDigest, u64)>) -> Result<BlobDigest> {
        let hasher = std::mem::take(&mut self.hasher.0);
        let size = hasher.size();
        let digest = BlobDigest(hasher.finish());
        if let Some((expected, expected_size)) = expected
            && (expected, expected_size) != (digest, size)
        {
            return Err(Error::Mismatch {
                expected,
                expected_size,
                found: digest,
                found_size: size,
            });
        }
        self.session.hold(&digest)?;
        self.publish(&digest, size)
            .writing(|| format!("blob {digest}"))?;
        Ok(digest)
    }

    fn publish(&self, digest: &BlobDigest, size: u64) -> rbuild_sys::Result<()> {
        let hex = digest.0.hex();
        if self.session.is_durable() {
            record::on(self.file.sync_data(), "fdatasync", hex.as_bytes())?;
        }
        let dir = self
            .session
            .store()
            .make_subdirectory(&directory_of(digest))?;
        match self.link(&dir, hex.as_bytes()) {
            Err(error) if error.is(Errno::EXIST) => {}
            answer => return answer.and_then(|()| self.session.sync_names(&dir)),
        }
        // Somebody was first. What a power cut emptied is healed by writing it again.
        if dir.stat(hex.as_bytes())?.size == size {
            return Ok(());
        }
        self.session.discard(&dir, hex.as_bytes())?;
        match self.link(&dir, hex.as_bytes()) {
            Err(error) if error.is(Errno::EXIST) => Ok(()),
            answer => answer.and_then(|()| self.session.sync_names(&dir)),
        }
    }

    fn link(&self, dir: &Dir, hex: &[u8]) -> rbuild_sys::Result<()> {
        match &self.name {
            None => dir.link_unnamed(&self.file, hex),
            Some(name) => dir.link(&self.staging, name, hex),
        }
    }
}

impl Drop for BlobWriter<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = self.staging.unlink(name);
        }
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.0.update(&bytes[..count]);
        if self.session.is_durable() {
            self.behind.advance(&self.file, self.hasher.0.size());
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store {
    /// Opens blob `digest` for reading; `None` if it is not there. Its bytes were right when
    /// they were written; who passes them on hashes them again (fault 24).
    ///
    /// Nothing keeps it from being deleted meanwhile: who will want it again uses
    /// [`Session::open_blob`].
    ///
    /// # Errors
    /// [`Error::Read`] if it is there and cannot be opened.
    pub fn open_blob(&self, digest: &BlobDigest) -> Result<Option<File>> {
        let open = |dir: &Dir, name: &[u8]| match dir.read(name) {
            Err(error) if record::is_miss(&error) => Ok(None),
            answer => answer.map(Some),
        };
        let find = || match self.subdirectory(&directory_of(digest))? {
            Some(dir) => aside::read(&dir, digest.0.hex().as_bytes(), open),
            None => Ok(None),
        };
        find().reading(|| format!("blob {digest}"))
    }

    /// Deletes blob `digest`, which was found to be damaged, so that it can be fetched again.
    /// One unlink; an absent blob is fine.
    ///
    /// # Errors
    /// [`Error::Remove`] if it cannot be deleted.
    pub fn remove_blob(&self, digest: &BlobDigest) -> Result<()> {
        let what = || format!("blob {digest}");
        match self.subdirectory(&directory_of(digest)).removing(what)? {
            None => Ok(()),
            Some(dir) => {
                let removed = dir.unlink(digest.0.hex().as_bytes());
                rbuild_sys::Error::absent(removed).map(drop).removing(what)
            }
        }
    }
}

fn directory_of(digest: &BlobDigest) -> String {
    format!("blobs/sha256/{}", &digest.0.hex()[..2])
}
