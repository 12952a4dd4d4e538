//! `--build-context`: names for more places that a build takes files and images from.

use std::{collections::BTreeMap, path::Path};

use rbuild_context::{ContextSpec, NamedContext, NamedSource};
use rbuild_engine::BuildContext;
use rbuild_plan::ContextKind;

use crate::{failure::Failure, settings};

/// What the flags name.
#[derive(Default)]
pub struct Contexts {
    /// What each name stands for.
    pub kinds: BTreeMap<String, ContextKind>,
    /// Those that are files.
    pub files: BTreeMap<String, BuildContext>,
}

/// Understands the flags and opens directories.
///
/// # Errors
/// If a flag is wrong, or a directory cannot be opened.
pub fn open(flags: &[String]) -> Result<Contexts, Failure> {
    let mut contexts = Contexts::default();
    for flag in flags {
        let named = NamedContext::parse(flag)?;
        let name = match &named.platform {
            Some(platform) => format!("{}::{platform}", named.name),
            None => named.name.clone(),
        };
        let kind = match named.source {
            NamedSource::Image(reference) => ContextKind::Image(reference),
            NamedSource::Layout(layout) => ContextKind::Layout(format!("oci:{layout}")),
            NamedSource::Files(ContextSpec::Directory(path)) => {
                let context = BuildContext::open(Path::new(&path), None, settings::now())?;
                contexts.files.insert(name.clone(), context);
                ContextKind::Files
            }
            NamedSource::Files(_) => {
                return Err(Failure::message(format!(
                    "--build-context `{flag}` is not supported yet"
                ))
                .with_hint("directories, docker-image:// and oci-layout:// are"));
            }
        };
        contexts.kinds.insert(name, kind);
    }
    Ok(contexts)
}
