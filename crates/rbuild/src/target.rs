//! Where bytes go: a file that appears when it is complete, or standard output.

use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use rbuild_export::Replacement;

use crate::failure::Failure;

/// How much is written at once, in bytes.
const BUFFER: usize = 1 << 20;

/// Where bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To whoever reads our output.
    Stdout,
    /// To a file.
    File(PathBuf),
}

impl Target {
    /// `-` and nothing are standard output.
    pub fn of(path: Option<&Path>) -> Self {
        match path {
            Some(path) if path != Path::new("-") => Self::File(path.to_owned()),
            _ => Self::Stdout,
        }
    }

    /// Nobody wants an archive on a terminal.
    ///
    /// # Errors
    /// If that is where it would go.
    pub fn refuse_terminal(&self, hint: &str) -> Result<(), Failure> {
        if *self == Self::Stdout && io::stdout().is_terminal() {
            return Err(
                Failure::message("refusing to write an archive to the terminal").with_hint(hint),
            );
        }
        Ok(())
    }

    /// Writes what `fill` gives. A new or regular file appears when it is complete, in place of the
    /// old one; nothing is left of what is not.
    ///
    /// # Errors
    /// If it cannot be written, or `fill` fails. A reader that went away is `BrokenPipe`.
    pub fn write(
        &self,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let path = match self {
            Self::Stdout => {
                let written = put(io::stdout().lock(), fill);
                return written.map_err(|failure| match failure.is_of_broken_pipe() {
                    true => io::Error::from(io::ErrorKind::BrokenPipe).into(),
                    false => failure.within("cannot write to standard output".to_owned()),
                });
            }
            Self::File(path) => path,
        };
        let mut written = || -> Result<(), Failure> {
            // A device or a pipe is written to, not replaced.
            if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
                return put(File::create(path)?, fill);
            }
            let mut new = Replacement::begin(path)?;
            put(&mut new.file, fill)?;
            Ok(new.finish()?)
        };
        written().map_err(|failure| failure.within(format!("cannot write `{}`", path.display())))
    }
}

/// Writes what `fill` gives to `out`.
fn put(
    out: impl Write,
    fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(BUFFER, out);
    fill(&mut out)?;
    Ok(out.flush()?)
}
