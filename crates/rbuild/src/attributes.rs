//! `KEY=VALUE,…`: attributes of flags that BuildKit's users know.
//!
//! Knows: how they are written, and those that several flags have.
//! Does not know: which flag they are of.

use rbuild_export::{Affected, Compress, Frames};
use rbuild_oci::media_type::Compression;

/// What a flag says, to be taken one by one.
pub struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Attributes<'a> {
    /// Understands `spec`; a text without any `=` is the value of `short`.
    ///
    /// # Errors
    /// If a part has no `=`, or a key comes twice.
    pub fn parse(spec: &'a str, short: &'a str) -> Result<Self, String> {
        if spec.is_empty() {
            return Err("it is empty".to_owned());
        }
        if !spec.contains('=') {
            return Ok(Self(vec![(short, spec)]));
        }
        let mut found: Vec<(&str, &str)> = Vec::new();
        for part in spec.split(',') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` has no `=`"))?;
            if found.iter().any(|(known, _)| *known == key) {
                return Err(format!("`{key}` is there twice"));
            }
            found.push((key, value));
        }
        Ok(Self(found))
    }

    /// The value of `key`, if it is given; nobody else gets it.
    pub fn take(&mut self, key: &str) -> Option<&'a str> {
        let index = self.0.iter().position(|(known, _)| *known == key)?;
        Some(self.0.remove(index).1)
    }

    /// The same for one that must be there.
    ///
    /// # Errors
    /// If it is not, or empty.
    pub fn need(&mut self, key: &str) -> Result<&'a str, String> {
        let value = self.take(key).filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("{key}= is missing"))
    }

    /// Takes what is said of compression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compress(&mut self, wish: &mut Compress) -> Result<(), String> {
        for key in ["compression", "compression-level", "force-compression"] {
            if let Some(value) = self.take(key) {
                compress(wish, key, value)?;
            }
        }
        Ok(())
    }

    /// Makes sure that all was taken.
    ///
    /// # Errors
    /// If something is left.
    pub fn finish(self) -> Result<(), String> {
        match self.0.first() {
            Some((key, _)) => Err(format!("`{key}` is not supported")),
            None => Ok(()),
        }
    }
}

/// What attribute `key`, one of compression's, says; `false` if it is none of them.
///
/// # Errors
/// If `value` is not one of its values.
pub fn compress(wish: &mut Compress, key: &str, value: &str) -> Result<bool, String> {
    match key {
        "compression" => (wish.compression, wish.frames) = compression(value)?,
        "compression-level" => {
            let level = value.parse().map_err(|_| "the level is no number")?;
            wish.level = Some(level);
        }
        "force-compression" => {
            wish.layers = match flag(key, value)? {
                true => Affected::All,
                false => Affected::New,
            };
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn compression(value: &str) -> Result<(Compression, Frames), String> {
    match value {
        "gzip" => Ok((Compression::Gzip, Frames::Any)),
        "zstd" => Ok((Compression::Zstd, Frames::Any)),
        "zstd:chunked" => Ok((Compression::Zstd, Frames::PerFile)),
        "uncompressed" => Ok((Compression::None, Frames::Any)),
        _ => Err(format!(
            "`{value}` is not supported: gzip, zstd, zstd:chunked and uncompressed are"
        )),
    }
}

/// The value of an attribute that is true or false.
///
/// # Errors
/// If `value` is neither.
pub fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("`{key}` is true or false, not `{value}`")),
    }
}
