//! Indexes: lists of images for several platforms, each under a name of its own.
//!
//! One file for each, replaced as a whole. Its images are as safe from deletion as those that have
//! names. The names are not those of images: the same text may be both.

use std::collections::BTreeMap;

use rbuild_oci::{ImageId, ListedPlatform, Name};
use serde::{Deserialize, Serialize};

use crate::{
    Session, Store,
    error::{Context, Result},
    name::{decode, encode},
    record,
};

/// A list of images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRecord {
    /// In their order.
    pub images: Vec<ListedImage>,
    /// What is said of the list.
    pub annotations: BTreeMap<String, String>,
}

/// An image in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedImage {
    /// Which.
    pub image: ImageId,
    /// What it is listed for.
    pub platform: ListedPlatform,
    /// What is said of it here.
    pub annotations: BTreeMap<String, String>,
}

impl Session {
    /// The index that `name` stands for, if it is there and sound; its images are kept from deletion
    /// as long as this session lives.
    ///
    /// # Errors
    /// As [`Store::index`]; [`crate::Error::Write`] if the lease cannot be extended.
    pub fn index(&self, name: &Name) -> Result<Option<IndexRecord>> {
        let found = self.store().index(name)?;
        for listed in found.iter().flat_map(|index| &index.images) {
            self.hold(&listed.image)?;
        }
        Ok(found)
    }

    /// Makes `index` what `name` stands for; its images are in the store. Atomic; replaces an older
    /// one, and takes the name away from an image.
    ///
    /// # Errors
    /// [`crate::Error::Write`] if the disk refuses; the older one stays then.
    pub fn set_index(&self, name: &Name, index: &IndexRecord) -> Result<()> {
        for listed in &index.images {
            self.hold(&listed.image)?;
        }
        let write = || {
            let indexes = self.store().make_subdirectory("indexes")?;
            let file = encode(name.as_str());
            self.replace(&indexes, file.as_bytes(), &record::encode(index))?;
            self.sync_names(&indexes)
        };
        write().writing(|| format!("the index `{name}`"))?;
        self.store().remove_name(name).map(drop)
    }
}

impl Store {
    /// The index that `name` stands for; `None` if there is none, or it is damaged.
    ///
    /// # Errors
    /// [`crate::Error::Read`] if it is there and cannot be read.
    pub fn index(&self, name: &Name) -> Result<Option<IndexRecord>> {
        let read = || match self.subdirectory("indexes")? {
            Some(indexes) => record::read(&indexes, encode(name.as_str()).as_bytes()),
            None => Ok(None),
        };
        read().reading(|| format!("the index `{name}`"))
    }

    /// All indexes, sorted as files are; damaged ones are left out.
    ///
    /// # Errors
    /// [`crate::Error::Read`] if the list, or one that is there, cannot be read.
    pub fn indexes(&self) -> Result<Vec<(Name, IndexRecord)>> {
        let mut found = Vec::new();
        for name in self.index_names()? {
            if let Some(index) = self.index(&name)? {
                found.push((name, index));
            }
        }
        Ok(found)
    }

    /// The names of all indexes, damaged ones too.
    pub(crate) fn index_names(&self) -> Result<Vec<Name>> {
        let list = || match self.subdirectory("indexes")? {
            Some(indexes) => indexes.entries(),
            None => Ok(Vec::new()),
        };
        let entries = list().reading(|| "the list of indexes".to_owned())?;
        let names = entries.into_iter().filter_map(|entry| {
            let text = decode(std::str::from_utf8(&entry.name).ok()?)?;
            Name::parse(&text)
        });
        Ok(names.collect())
    }

    /// Removes the index `name`, not its images: one unlink, which works on a full disk. Returns
    /// whether it was there.
    ///
    /// # Errors
    /// [`crate::Error::Remove`] if it cannot be removed.
    pub fn remove_index(&self, name: &Name) -> Result<bool> {
        let remove = || match self.subdirectory("indexes")? {
            Some(indexes) => {
                rbuild_sys::Error::absent(indexes.unlink(encode(name.as_str()).as_bytes()))
            }
            None => Ok(None),
        };
        let removed = remove().removing(|| format!("the index `{name}`"))?;
        Ok(removed.is_some())
    }
}
