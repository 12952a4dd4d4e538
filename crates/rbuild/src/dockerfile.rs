//! Which file is the Dockerfile, and what is in it.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// A Dockerfile's text and where it came from.
pub struct Source {
    /// What the user calls it, for messages.
    pub name: String,
    /// `None` for standard input.
    pub path: Option<PathBuf>,
    /// All of it.
    pub text: String,
}

/// Looked for in the context, in this order (P1).
const NAMES: [&str; 3] = ["Containerfile", "Dockerfile", "dockerfile"];

/// No Dockerfile is larger, in bytes (sandbox.md, Limits).
const LIMIT: u64 = 4 << 20;

/// Reads `file`, or the one that `context` has. `-` is standard input; a file that is not there is
/// looked for in the context too (P1).
///
/// # Errors
/// If there is none, it is too large, not UTF-8, or cannot be read.
pub fn read(file: Option<&Path>, context: &Path) -> Result<Source, Failure> {
    let path = match file {
        Some(path) if path == Path::new("-") => {
            return Ok(Source {
                name: "-".to_owned(),
                path: None,
                text: text(&mut io::stdin().lock(), "standard input")?,
            });
        }
        Some(path) if path.is_file() => path.to_owned(),
        Some(path) => {
            let inside = context.join(path);
            if !inside.is_file() {
                return Err(Failure::message(format!(
                    "there is no Dockerfile `{}`",
                    path.display()
                )));
            }
            inside
        }
        None => NAMES
            .iter()
            .map(|name| context.join(name))
            .find(|path| path.is_file())
            .ok_or_else(|| missing(context))?,
    };
    let name = path
        .strip_prefix("./")
        .unwrap_or(&path)
        .display()
        .to_string();
    let mut opened = File::open(&path)
        .map_err(|error| Failure::message(format!("cannot open `{name}`: {error}")))?;
    Ok(Source {
        text: text(&mut opened, &name)?,
        name,
        path: Some(path),
    })
}

fn missing(context: &Path) -> Failure {
    if !context.is_dir() {
        return Failure::message(format!(
            "the build context `{}` is not a directory",
            context.display()
        ))
        .with_hint("git, URL and archive contexts are not supported yet");
    }
    Failure::message(format!("there is no Dockerfile in `{}`", context.display())).with_hint(
        "rbuild looks for Containerfile, Dockerfile and dockerfile; -f names another file",
    )
}

fn text(from: &mut dyn Read, name: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    from.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::message(format!("cannot read `{name}`: {error}")))?;
    if bytes.len() as u64 > LIMIT {
        return Err(Failure::message(format!("`{name}` is larger than 4 MiB")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|&&b| b == b'\n')
            .count();
        Failure::message(format!("`{name}` is not UTF-8 in line {line}"))
    })
}
