//! `rbuild manifest`: lists of images for several platforms.
//!
//! Knows: what each subcommand does to a list. Does not know: how a list is written down.
//! Spellings and what is printed are podman's (cli.md 2.6).

mod entry;
mod push;

use std::process::ExitCode;

use rbuild_export::local_index;
use rbuild_oci::{Location, Platform};
use rbuild_registry::SignaturePolicy;
use rbuild_store::{IndexRecord, Session, Store};

use crate::{
    cli::{
        EntryArgs, Global, ListAddArgs, ListAnnotateArgs, ListCreateArgs, ListInspectArgs,
        ListRemoveArgs, ListRmArgs, ManifestArgs, ManifestCommand,
    },
    containers_conf::ContainersConf,
    failure::Failure,
    find::{find_index, index_id, look_up_index, new_name},
    image_list::lock,
    registry::{self, Registry},
    report::print,
    settings,
};

use entry::{Source, position};

/// Does what was asked for.
///
/// # Errors
/// If there is no such list or image, or a place refuses.
pub fn execute(global: &Global, args: &ManifestArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        ManifestCommand::Create(args) => create(global, args)?,
        ManifestCommand::Add(args) => add(global, args)?,
        ManifestCommand::Annotate(args) => annotate(global, args)?,
        ManifestCommand::Inspect(args) => inspect(global, args)?,
        ManifestCommand::Push(args) => push::execute(global, args)?,
        ManifestCommand::Remove(args) => remove(global, args)?,
        ManifestCommand::Rm(args) => rm(global, args)?,
        ManifestCommand::Exists(args) => {
            let found = look_up_index(&settings::store(global)?, &args.list)?;
            return Ok(match found {
                Some(_) => ExitCode::SUCCESS,
                None => ExitCode::FAILURE,
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(global: &Global, args: &ListCreateArgs) -> Result<(), Failure> {
    let registry = Registry::configured(&args.registry, &ContainersConf::configured()?)?;
    let signatures = registry::signatures(&args.signatures)?;
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let name = new_name(&args.list)?;
    if store.name(&name)?.is_some() {
        return Err(Failure::message(format!(
            "`{name}` is the name of an image"
        )));
    }
    let _lock = lock(&session, &name)?;
    let mut index = match store.index(&name)? {
        Some(_) if !args.amend => {
            let message = format!("there is a list `{name}` already");
            return Err(Failure::message(message).with_hint("--amend changes it"));
        }
        found => found.unwrap_or_default(),
    };
    let source = Source {
        store: &store,
        session: &session,
        registry: &registry,
        signatures: &signatures,
        entry: &EntryArgs::default(),
    };
    source.add(&mut index, &args.images, entry::extent(args.all))?;
    session.set_index(&name, &index)?;
    print(&index_id(&store, &index)?.hex())?;
    Ok(())
}

fn add(global: &Global, args: &ListAddArgs) -> Result<(), Failure> {
    let registry = Registry::configured(&args.registry, &ContainersConf::configured()?)?;
    let signatures = registry::signatures(&args.signatures)?;
    rbuild_sandbox::enter()?;
    edit(global, &args.list, |store, session, index| {
        let source = Source {
            store,
            session,
            registry: &registry,
            signatures: &signatures,
            entry: &args.entry,
        };
        source.add(index, &args.images, entry::extent(args.all))
    })
}

fn annotate(global: &Global, args: &ListAnnotateArgs) -> Result<(), Failure> {
    edit(global, &args.list, |store, _, index| {
        let position = position(store, index, &args.image)?;
        entry::describe(&mut index.images[position], &args.entry);
        Ok(())
    })
}

fn remove(global: &Global, args: &ListRemoveArgs) -> Result<(), Failure> {
    edit(global, &args.list, |store, _, index| {
        index.images.remove(position(store, index, &args.image)?);
        Ok(())
    })
}

fn inspect(global: &Global, args: &ListInspectArgs) -> Result<(), Failure> {
    let location: Result<Location, _> = args.list.parse();
    let store = settings::store(global)?;
    let here = match location {
        Ok(Location::Registry(_)) => None,
        _ => look_up_index(&store, &args.list)?,
    };
    let text = match (here, location) {
        (Some((_, index)), _) => local_index(&store, &index)?,
        (None, Ok(Location::Name(name) | Location::Registry(name))) => {
            let registry = Registry::configured(&args.registry, &ContainersConf::configured()?)?;
            let session = store.begin()?;
            let signatures = SignaturePolicy::default();
            let platform = Platform::default();
            let bases = registry.bases((&store, &session), &signatures, platform);
            bases.document(&name)?
        }
        (None, _) => return find_index(&store, &args.list).map(drop),
    };
    let value: serde_json::Value = serde_json::from_str(&text)?;
    Ok(print(&format!("{value:#}"))?)
}

fn rm(global: &Global, args: &ListRmArgs) -> Result<(), Failure> {
    let store = settings::store(global)?;
    for list in &args.lists {
        let (name, index) = find_index(&store, list)?;
        let id = index_id(&store, &index)?.hex();
        store.remove_index(&name)?;
        print(&format!("Untagged: {name}"))?;
        print(&format!("Deleted: {id}"))?;
    }
    Ok(())
}

/// Changes the list as `change` says, while nobody else does, and prints its id.
fn edit(
    global: &Global,
    list: &str,
    change: impl FnOnce(&Store, &Session, &mut IndexRecord) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let store = settings::store(global)?;
    let session = store.begin()?;
    let (name, _) = find_index(&store, list)?;
    let _lock = lock(&session, &name)?;
    let (_, mut index) = find_index(&store, list)?;
    change(&store, &session, &mut index)?;
    session.set_index(&name, &index)?;
    Ok(print(&index_id(&store, &index)?.hex())?)
}
