//! `-o type=…`: where a build's result goes besides the store.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use rbuild_export::{Place, export_as, write_archive, write_tree};
use rbuild_oci::{Format, ImageId};
use rbuild_store::{Session, Store};
use rbuild_sys::Dir;

use crate::failure::Failure;

/// One `--output`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// An OCI archive.
    Archive(PathBuf),
    /// The image's files.
    Directory(PathBuf),
}

impl Output {
    /// Understands `type=oci,dest=FILE`, `type=local,dest=DIR`, or just `DIR`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(spec: &str) -> Result<Self, Failure> {
        if !spec.contains('=') && !spec.is_empty() && spec != "-" {
            return Ok(Self::Directory(spec.into()));
        }
        let bad =
            |why: String| Failure::message(format!("cannot understand --output `{spec}`: {why}"));
        let (mut kind, mut destination) = (None, None);
        for part in spec.split(',') {
            match part.split_once('=') {
                Some(("type", value)) => kind = Some(value),
                Some(("dest", value)) => destination = Some(PathBuf::from(value)),
                _ => {
                    return Err(bad(format!(
                        "`{part}` is not supported: only type= and dest= are"
                    )));
                }
            }
        }
        let destination =
            destination.filter(|path| path.as_os_str() != "-" && !path.as_os_str().is_empty());
        let destination =
            destination.ok_or_else(|| bad("dest= must name a file or a directory".to_owned()))?;
        match kind {
            Some("oci") => Ok(Self::Archive(destination)),
            Some("local") => Ok(Self::Directory(destination)),
            Some(other) => Err(bad(format!(
                "the type `{other}` is not supported yet: `oci` and `local` are"
            ))),
            None => Err(bad("type= is missing".to_owned())),
        }
    }
}

/// Writes the image to each of `outputs`.
///
/// # Errors
/// If one cannot be written; an archive that is not complete is removed.
pub fn write(
    outputs: &[Output],
    (store, session): (&Store, &Session),
    id: &ImageId,
    empty: &Dir,
) -> Result<(), Failure> {
    if outputs.is_empty() {
        return Ok(());
    }
    let gone = || Failure::message(format!("image {id} is not in the store any more"));
    let image = store.image(id)?.ok_or_else(gone)?;
    let place = Place { store, session };
    for output in outputs {
        match output {
            Output::Directory(path) => write_tree(store, &image, empty, path)?,
            Output::Archive(path) => {
                // Readers of layouts know no other format.
                let exported = export_as(place, &image, Format::Oci)?;
                let partial = path.with_extension(format!("rbuild-{}", std::process::id()));
                let cannot = |source: io::Error| {
                    Failure::message(format!("cannot write `{}`: {source}", path.display()))
                };
                let write = || -> Result<(), Failure> {
                    let file = File::create(&partial).map_err(cannot)?;
                    let mut out = BufWriter::with_capacity(1 << 20, file);
                    write_archive(place, &exported, None, &mut out)?;
                    out.flush().map_err(cannot)?;
                    fs::rename(&partial, path).map_err(cannot)
                };
                write().inspect_err(|_| drop(fs::remove_file(&partial)))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Output;

    #[track_caller]
    fn check(spec: &str, expected: Option<&Output>) {
        assert_eq!(Output::parse(spec).ok().as_ref(), expected);
    }

    #[test]
    fn outputs_are_archives_or_directories() {
        check(
            "type=oci,dest=a.tar",
            Some(&Output::Archive("a.tar".into())),
        );
        check("dest=d,type=local", Some(&Output::Directory("d".into())));
        check("out", Some(&Output::Directory("out".into())));
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for spec in [
            "",
            "-",
            "type=oci",
            "type=docker,dest=x",
            "type=oci,dest=x,compression=zstd",
            "type=oci,dest=-",
        ] {
            check(spec, None);
        }
    }
}
