//! Random bytes that only this store has.
//!
//! Knows: that they stay the same. Does not know: what is kept from others with them.

use rbuild_sys::Errno;

use crate::{
    Session,
    error::{Context, Result},
    id::random_bytes,
    record,
};

const NAME: &[u8] = b"secret";

impl Session {
    /// The store's secret, made when it is first asked for; one that is damaged is replaced.
    ///
    /// # Errors
    /// [`crate::Error::Write`] if it cannot be kept.
    pub fn secret(&self) -> Result<[u8; 32]> {
        let root = self.store().root();
        let find = || {
            let read = record::read_bytes(root, NAME)?;
            let known = read.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            if let Some(known) = known {
                return Ok(known);
            }
            let new: [u8; 32] = record::on(random_bytes(), "read", b"/dev/urandom")?;
            let temporary = self.unused_name();
            record::create(self.staging(), &temporary, &new)?;
            match root.rename_new(self.staging(), &temporary, NAME) {
                Err(error) if error.is(Errno::EXIST) => {
                    // Another one was faster, or what is there is damaged.
                    let theirs = record::read_bytes(root, NAME)?;
                    if let Some(theirs) = theirs.and_then(|bytes| bytes.try_into().ok()) {
                        return Ok(theirs);
                    }
                    root.rename(self.staging(), &temporary, NAME)?;
                }
                answer => answer?,
            }
            Ok(new)
        };
        find().writing(|| "the store's secret".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Durability, Store};

    #[test]
    fn the_secret_stays_until_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Store::open(dir.path(), Durability::None).unwrap();
        let secret = || open().begin().unwrap().secret().unwrap();
        let first = secret();
        assert_ne!(first, [0; 32]);
        assert_eq!(secret(), first);
        std::fs::write(dir.path().join("secret"), b"short").unwrap();
        let second = secret();
        assert_ne!(second, first);
        assert_eq!(secret(), second);
    }
}
