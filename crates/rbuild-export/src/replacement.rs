//! A file of the user's that appears when it is complete, in place of what had its name.
//!
//! Knows: that what is not complete has no name, where the file system can do that: nothing is left
//! of it then, whatever ends us. Elsewhere it has a name beside its own.
//! Does not know: what is in it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rbuild_sys::{Dir, Errno};

/// A file that is being written.
pub struct Replacement {
    /// To be written to.
    pub file: File,
    path: PathBuf,
    /// What it is called before it is complete.
    partial: PathBuf,
    naming: Naming,
}

/// Which name the file has now.
enum Naming {
    /// None; it gets one in this directory.
    Unnamed(Dir),
    /// `partial`.
    Partial,
    /// Its own.
    Complete,
}

impl Replacement {
    /// Begins the file that is to be at `path`.
    ///
    /// # Errors
    /// If a directory is there, or no file can be created beside it.
    pub fn begin(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(Errno::ISDIR.into());
        }
        let partial = path.with_extension(format!("rbuild-{}", std::process::id()));
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        let parent = Dir::open(parent.unwrap_or(Path::new("."))).map_err(|it| it.source)?;
        let (file, naming) = match parent.create_unnamed(0o666) {
            Ok(file) => (file, Naming::Unnamed(parent)),
            Err(_) => (File::create(&partial)?, Naming::Partial),
        };
        Ok(Self {
            file,
            path: path.to_owned(),
            partial,
            naming,
        })
    }

    /// The file is complete: it appears.
    ///
    /// # Errors
    /// If it cannot get its name; it is gone then.
    pub fn finish(mut self) -> io::Result<()> {
        if let Naming::Unnamed(parent) = &self.naming {
            let name = self.partial.file_name().unwrap_or_default();
            let linked = parent.link_unnamed(&self.file, name.as_encoded_bytes());
            linked.map_err(|it| it.source)?;
            self.naming = Naming::Partial;
        }
        fs::rename(&self.partial, &self.path)?;
        self.naming = Naming::Complete;
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Naming::Partial = self.naming {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::Replacement;

    fn names(dir: &std::path::Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let name = |it: fs::DirEntry| it.file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(|it| name(it.unwrap())).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_complete_and_nothing_is_left_of_another() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("it.tar");
        fs::write(&path, "old").unwrap();
        for (is_finished, expected) in [(false, "old"), (true, "new")] {
            let mut new = Replacement::begin(&path).unwrap();
            new.file.write_all(b"new").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "old");
            // Nothing would be left of it even if we were killed now.
            assert_eq!(names(temp.path()), ["it.tar"]);
            match is_finished {
                true => new.finish().unwrap(),
                false => drop(new),
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), expected);
            assert_eq!(names(temp.path()), ["it.tar"]);
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_known_before_anything_is_written() {
        let temp = tempfile::tempdir().unwrap();
        for path in [temp.path().to_owned(), temp.path().join("no/it.tar")] {
            assert!(Replacement::begin(&path).is_err());
        }
        assert!(names(temp.path()).is_empty());
    }
}
