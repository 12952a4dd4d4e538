//! Names of images: one symlink each, replaced by rename, removed by unlink.
//!
//! The file name is the name with `/` and `%` percent-encoded.
//!
//! Invariant: a name that an image gets is not that of an index any more, nor the other way round.
//! Where a crash has left both, the image counts.

use rbuild_oci::{Digest, ImageId, Name};

use crate::{
    Session, Store,
    error::{Context, Result},
    record,
};

impl Session {
    /// Lets `name` lead to image `id`, which is in the store. Atomic; replaces an older one, and an
    /// index of that name.
    ///
    /// # Errors
    /// [`crate::Error::Write`] if the disk refuses; the older one stays then.
    pub fn set_name(&self, name: &Name, id: &ImageId) -> Result<()> {
        let written = self.store().name(name)?.as_ref() == Some(id);
        let write = || {
            let names = self.store().make_subdirectory("names")?;
            if written {
                return self.sync_names(&names);
            }
            let temporary = self.unused_name();
            let target = format!("../images/{}", id.0.hex());
            self.staging().symlink(target.as_bytes(), &temporary)?;
            names.rename(self.staging(), &temporary, encode(name.as_str()).as_bytes())?;
            self.sync_names(&names)
        };
        write().writing(|| format!("the name `{name}`"))?;
        self.store().remove_index(name).map(drop)
    }
}

impl Store {
    /// The image that `name` leads to; `None` if there is no such name. The image itself may
    /// be missing or damaged.
    ///
    /// # Errors
    /// [`crate::Error::Read`] if it is there and cannot be read.
    pub fn name(&self, name: &Name) -> Result<Option<ImageId>> {
        self.target_of(&encode(name.as_str()))
    }

    /// All names, sorted as files are; what is not a name or leads nowhere is left out.
    ///
    /// # Errors
    /// [`crate::Error::Read`] if the list cannot be read.
    pub fn names(&self) -> Result<Vec<(Name, ImageId)>> {
        let list = || match self.subdirectory("names")? {
            Some(names) => names.entries(),
            None => Ok(Vec::new()),
        };
        let mut names = Vec::new();
        for entry in list().reading(|| "the list of names".to_owned())? {
            let Some(name) = std::str::from_utf8(&entry.name)
                .ok()
                .and_then(decode)
                .and_then(|text| Name::parse(&text))
            else {
                continue;
            };
            if let Some(id) = self.name(&name)? {
                names.push((name, id));
            }
        }
        Ok(names)
    }

    /// Removes `name`, not the image: one unlink, which works on a full disk. Returns whether
    /// it was there.
    ///
    /// # Errors
    /// [`crate::Error::Remove`] if it cannot be removed.
    pub fn remove_name(&self, name: &Name) -> Result<bool> {
        let remove = || match self.subdirectory("names")? {
            Some(names) => {
                rbuild_sys::Error::absent(names.unlink(encode(name.as_str()).as_bytes()))
            }
            None => Ok(None),
        };
        let removed = remove().removing(|| format!("the name `{name}`"))?;
        Ok(removed.is_some())
    }

    fn target_of(&self, file_name: &str) -> Result<Option<ImageId>> {
        let read = || match self.subdirectory("names")? {
            Some(names) => names.read_link(file_name.as_bytes()),
            None => Ok(Vec::new()),
        };
        let target = match read() {
            Err(error) if record::is_miss(&error) => return Ok(None),
            answer => answer.reading(|| format!("the name `{file_name}`"))?,
        };
        let id = std::str::from_utf8(&target)
            .ok()
            .and_then(|target| target.strip_prefix("../images/"))
            .and_then(|hex| Digest::from_hex(hex).ok());
        Ok(id.map(ImageId))
    }
}

pub(crate) fn encode(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

/// `None` if `file_name` was not made by [`encode`].
pub(crate) fn decode(file_name: &str) -> Option<String> {
    let name = file_name.replace("%2F", "/").replace("%25", "%");
    (encode(&name) == file_name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[track_caller]
    fn check(name: &str, file_name: &str) {
        assert_eq!(encode(name), file_name);
        assert_eq!(decode(file_name).as_deref(), Some(name));
    }

    #[test]
    fn names_are_one_path_component() {
        check("localhost/a:1", "localhost%2Fa:1");
        check("x/%2F", "x%2F%252F");
        check(
            "localhost:5000/a/b@sha256:0",
            "localhost:5000%2Fa%2Fb@sha256:0",
        );
    }

    #[test]
    fn foreign_file_names_are_not_decoded() {
        assert_eq!(decode("a%2fb"), None);
        assert_eq!(decode("a%00"), None);
    }
}
