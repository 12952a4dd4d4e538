//! `rbuild cache`: what `RUN --mount=type=cache` keeps.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::Path,
    process::ExitCode,
};

use rbuild_export::{export_cache, import_cache};
use rbuild_store::{CacheEntry, CacheRemoval, Store, Wait};

use crate::{
    cli::{CacheArgs, CacheCommand, Global},
    failure::Failure,
    report::{note, print},
    settings,
    template::{ago, columns, size},
};

/// Does what was asked for.
///
/// # Errors
/// If there is no such cache, or the store or a file cannot be used.
pub fn execute(global: &Global, args: &CacheArgs) -> Result<ExitCode, Failure> {
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    match &args.command {
        CacheCommand::Ls => list(&store),
        CacheCommand::Rm { ids, all } => remove(&store, ids, *all),
        CacheCommand::Export { id, file } => export(&store, id, file),
        CacheCommand::Import { id, file } => import(&store, id, file),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn list(store: &Store) -> Result<(), Failure> {
    let head = ["KEY", "ID", "OWNER", "MODE", "COPIES", "USED", "SIZE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let now = settings::now();
    for cache in store.caches()? {
        let name = &cache.name;
        let used = cache.used.map(|used| ago(now - used.seconds));
        rows.push(vec![
            cache.key.to_string()[..12].to_owned(),
            name.id.clone(),
            format!("{}:{}", name.uid, name.gid),
            format!("{:04o}", name.mode),
            cache.copies.to_string(),
            used.unwrap_or_default(),
            size(store.cache_size(&cache.key)?),
        ]);
    }
    Ok(print(columns(&rows).trim_end())?)
}

fn remove(store: &Store, ids: &[String], all: bool) -> Result<(), Failure> {
    let mut victims = Vec::new();
    if all {
        victims = store.caches()?;
    }
    for id in ids {
        victims.push(find(store, id)?);
    }
    for victim in &victims {
        match store.remove_cache(&victim.key)? {
            CacheRemoval::Removed | CacheRemoval::Missing => {}
            CacheRemoval::InUse if all => note(&format!("cache `{}` is in use", victim.name.id)),
            CacheRemoval::InUse => {
                let message = format!("cache `{}` is in use", victim.name.id);
                return Err(Failure::message(message));
            }
        }
    }
    Ok(())
}

fn export(store: &Store, id: &str, file: &Path) -> Result<(), Failure> {
    let cache = find(store, id)?;
    let session = store.begin()?;
    let failed = |error: io::Error| cannot("write", file, &error);
    let mut out: Box<dyn Write> = match file == Path::new("-") {
        true => Box::new(io::stdout().lock()),
        false => Box::new(File::create(file).map_err(failed)?),
    };
    let mut out = BufWriter::with_capacity(1 << 20, &mut out);
    let mut waiting = || note(&format!("waiting for who uses cache `{id}`"));
    export_cache(&session, &cache.name, &mut patient(&mut waiting), &mut out)?;
    out.flush().map_err(failed)
}

fn import(store: &Store, id: &str, file: &Path) -> Result<(), Failure> {
    let session = store.begin()?;
    let mut archive: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(file).map_err(|error| cannot("open", file, &error))?),
    };
    let mut waiting = || note(&format!("waiting for who uses cache `{id}`"));
    let name = import_cache(&session, id, &mut archive, &mut patient(&mut waiting))?;
    match name {
        Some(_) => Ok(()),
        None => Err(Failure::message(format!("there is a cache `{id}` already"))
            .with_hint(format!("`rbuild cache rm {id}` deletes it"))),
    }
}

/// Waits as long as it takes: ^C ends the process.
fn patient(waiting: &mut dyn FnMut()) -> Wait<'_> {
    Wait {
        waiting,
        give_up: &|| false,
    }
}

/// The only cache that `id` means.
fn find(store: &Store, id: &str) -> Result<CacheEntry, Failure> {
    let all = store.caches()?;
    let by_id = all.iter().filter(|cache| cache.name.id == id);
    let by_key = all
        .iter()
        .filter(|cache| id.len() >= 4 && cache.key.to_string().starts_with(id));
    match by_id.chain(by_key).collect::<Vec<_>>()[..] {
        [only] => Ok(only.clone()),
        [] => Err(Failure::message(format!("there is no cache `{id}`"))
            .with_hint("`rbuild cache ls` shows all")),
        _ => Err(Failure::message(format!("there are several caches `{id}`"))
            .with_hint("they differ in owner or mode: `rbuild cache ls` shows their keys")),
    }
}

fn cannot(what: &str, file: &Path, error: &io::Error) -> Failure {
    Failure::message(format!("cannot {what} `{}`: {error}", file.display()))
}
