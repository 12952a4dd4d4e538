//! Where bytes go: a file that appears when it is complete, or standard output.

use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

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

    /// Writes what `fill` gives. A new or regular file is replaced at the end, by a rename; what
    /// was incomplete is removed.
    ///
    /// # Errors
    /// If it cannot be written, or `fill` fails.
    pub fn write(
        &self,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let path = match self {
            Self::Stdout => {
                let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
                fill(&mut out)?;
                return Ok(out.flush()?);
            }
            Self::File(path) => path,
        };
        let cannot = |source: io::Error| {
            Failure::message(format!("cannot write `{}`: {source}", path.display()))
        };
        let mut put = |to: &Path| -> Result<(), Failure> {
            let mut out = BufWriter::with_capacity(BUFFER, File::create(to).map_err(cannot)?);
            fill(&mut out)?;
            out.flush().map_err(cannot)
        };
        // A device or a pipe is written to, not replaced.
        if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return put(path);
        }
        let partial = path.with_extension(format!("rbuild-{}", std::process::id()));
        put(&partial)
            .and_then(|()| fs::rename(&partial, path).map_err(cannot))
            .inspect_err(|_| drop(fs::remove_file(&partial)))
    }
}
