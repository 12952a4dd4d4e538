//! Which files are the Dockerfile, and what is in them.
//!
//! Knows: the names that are looked for, and the forms of `-f`.
//! Does not know: how contexts are fetched, and what instructions mean.
//!
//! Invariant: in files that were fetched, a name leads nowhere else: it is opened below their
//! root.
//!
//! Spec: dockerfile.md P1, P2; sandbox.md, Limits.

use std::{
    fs::File,
    io::{self, Read, Seek},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rbuild_context::{Download, download};
use rbuild_engine::fetch::MAX_DOCKERFILE;
use rbuild_http::{Client, Url};
use rbuild_sys::{Dir, Error as SysError, memory_file};

use crate::{
    contexts::Main,
    failure::Failure,
    source::{Part, Source},
};

/// What a Dockerfile from there is called.
pub const STANDARD_INPUT: &str = "standard input";
/// Looked for in the context, in this order (P1).
const NAMES: [&str; 3] = ["Containerfile", "Dockerfile", "dockerfile"];

/// Refuses to read standard input twice: as the context and as a file, or as two files.
///
/// # Errors
/// If that is asked for.
pub fn refuse_two_streams(files: &[PathBuf], context: &str) -> Result<(), Failure> {
    let files = files.iter().filter(|file| file.as_os_str() == "-");
    match files.count() + usize::from(context == "-") {
        0 | 1 => Ok(()),
        _ => Err(Failure::message(
            "standard input can be only one of the files or the context",
        )),
    }
}

/// Reads `files`, one after the other, or the one that `context` has.
///
/// `-` is standard input; an `http` or `https` URL is fetched. Other names are those of files on
/// this machine, else in the context (P1); where the context was fetched, only in the context.
///
/// # Errors
/// If there is none, it is too large, not UTF-8, or cannot be read.
pub fn read(files: &[PathBuf], context: &Main, http: &Client) -> Result<Source, Failure> {
    if let Main::Dockerfile { text, from, .. } = context {
        if let [file, ..] = files {
            return Err(Failure::message(format!(
                "{context} is a Dockerfile, and so is -f `{}`",
                file.display()
            ))
            .with_hint("leave out one of them"));
        }
        return Ok(Source::of(part(from.to_string(), &mut &text[..])?));
    }
    let [first, others @ ..] = files else {
        return Ok(Source::of(usual(context)?));
    };
    let first = named(first, context, http)?;
    let others = others.iter().map(|file| named(file, context, http));
    Source::joined(first, others.collect::<Result<_, _>>()?)
}

/// The file that is read when none is named.
fn usual(context: &Main) -> Result<Part, Failure> {
    for name in NAMES {
        let found = match context {
            Main::Directory(directory) => {
                let path = directory.join(name);
                path.is_file().then(|| on_host(path)).transpose()?
            }
            Main::Fetched { tree, .. } => fetched(Path::new(name), tree)?,
            Main::Dockerfile { .. } => None,
        };
        if let Some(part) = found {
            return Ok(part);
        }
    }
    Err(
        Failure::message(format!("there is no Dockerfile in {context}")).with_hint(
            "rbuild looks for Containerfile, Dockerfile and dockerfile; -f names another file",
        ),
    )
}

/// The file that `-f` names.
fn named(file: &Path, context: &Main, http: &Client) -> Result<Part, Failure> {
    let text = file.to_str().unwrap_or_default();
    if text == "-" {
        return part(STANDARD_INPUT.to_owned(), &mut io::stdin().lock());
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return of_url(text, http);
    }
    if file.extension().is_some_and(|extension| extension == "in") {
        return Err(Failure::message(format!(
            "`{text}` is for the C preprocessor, which rbuild does not run"
        ))
        .with_hint(format!("`cpp -E -P {text} | rbuild bud -f - …` does")));
    }
    let missing =
        |place: String| Failure::message(format!("there is no Dockerfile `{text}`{place}"));
    match context {
        Main::Directory(directory) => {
            let candidates = [file.to_owned(), directory.join(file)];
            let found = candidates.into_iter().find(|path| path.exists());
            on_host(found.ok_or_else(|| missing(String::new()))?)
        }
        Main::Fetched { tree, .. } => fetched(file, tree)?.ok_or_else(|| {
            missing(format!(" in {context}"))
                .with_hint("where the context is not a directory, -f names a file in it")
        }),
        Main::Dockerfile { .. } => Err(missing(String::new())),
    }
}

fn on_host(path: PathBuf) -> Result<Part, Failure> {
    let name = path.strip_prefix("./").unwrap_or(&path);
    let name = name.display().to_string();
    let mut file = File::open(&path)
        .map_err(|error| Failure::message(format!("cannot open `{name}`: {error}")))?;
    Ok(Part {
        path: Some(path),
        ..part(name, &mut file)?
    })
}

/// The file that `path` leads to inside `tree`; `None` if there is none.
fn fetched(path: &Path, tree: &Dir) -> Result<Option<Part>, Failure> {
    let found = SysError::absent(tree.resolve_file(path.as_os_str().as_bytes()))?;
    let name = path.display().to_string();
    found.map(|mut file| part(name, &mut file)).transpose()
}

fn of_url(text: &str, http: &Client) -> Result<Part, Failure> {
    let url: Url = text.parse()?;
    let mut file = memory_file("Dockerfile")?;
    let wanted = Download {
        url: &url,
        known: None,
        checksum: None,
        authorization: None,
        size_limit: MAX_DOCKERFILE,
    };
    download(http, &wanted, &mut file)?;
    file.rewind()?;
    part(url.to_string(), &mut file)
}

/// All that `from`, called `name`, gives.
fn part(name: String, from: &mut dyn Read) -> Result<Part, Failure> {
    let mut bytes = Vec::new();
    from.take(MAX_DOCKERFILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::message(format!("cannot read `{name}`: {error}")))?;
    if bytes.len() as u64 > MAX_DOCKERFILE {
        return Err(Failure::message(format!("`{name}` is larger than 4 MiB")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&b| b == b'\n').count();
        Failure::message(format!("`{name}` is not UTF-8 in line {line}"))
    })?;
    Ok(Part {
        name,
        path: None,
        text,
    })
}
