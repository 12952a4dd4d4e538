//! `mode=delete`: which directories may lose what is in them.
//!
//! Knows: the places that are worth more than a result, and what was consented to.
//! Does not know: how anything is removed.
//!
//! Spec: cli.md 2.7. As with buildx, what is not below the current directory needs consent.

use std::{
    env, fs,
    path::{self, Path, PathBuf},
};

use crate::{
    cli::{Allowed, BuildArgs, Global},
    failure::Failure,
    settings,
};

/// Directories of the system; what has one of them in it is no place for a result either.
const SYSTEM: [&str; 12] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr",
    "/var/lib",
];

/// What must not be lost.
#[derive(Debug, Default)]
pub struct Guard {
    elsewhere: Elsewhere,
    /// The current directory; `None` if it is gone.
    here: Option<PathBuf>,
    /// What they are, and where; without symlinks.
    places: Vec<(&'static str, PathBuf)>,
    store: PathBuf,
}

/// Directories that are not below the current one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Elsewhere {
    /// Are left alone.
    #[default]
    Spared,
    /// May be given: `--allow local.delete`.
    Allowed,
}

impl Guard {
    /// What is of worth for this build.
    ///
    /// # Errors
    /// If nobody can tell where the store is.
    pub fn of(global: &Global, args: &BuildArgs) -> Result<Self, Failure> {
        let here = env::current_dir().ok();
        let store = real(&settings::store_path(global)?);
        let input = &args.input;
        let named = input.build_context.iter();
        let named = named.filter_map(|it| Some(it.split_once('=')?.1.into()));
        let home = settings::path("HOME").map(|home| ("the home directory", home));
        let current = here.clone().map(|here| ("the current directory", here));
        let mut places: Vec<(&str, PathBuf)> = current.into_iter().chain(home).collect();
        places.push(("the build context", PathBuf::from(&input.context)));
        places.push(("the store", store.clone()));
        places.extend(named.map(|path| ("a build context", path)));
        places.extend(input.file.iter().map(|it| ("the Dockerfile", it.clone())));
        // What is not there, or is no path, cannot be lost.
        places.retain_mut(|(_, path)| match fs::canonicalize(&*path) {
            Ok(found) => {
                *path = found;
                true
            }
            Err(_) => false,
        });
        let system = SYSTEM.map(|path| ("a directory of the system", PathBuf::from(path)));
        places.extend(system);
        Ok(Self {
            elsewhere: match args.steps.allow.contains(&Allowed::LocalDelete) {
                true => Elsewhere::Allowed,
                false => Elsewhere::Spared,
            },
            here: here.map(|here| real(&here)),
            places,
            store,
        })
    }

    /// Refuses to let `path` lose what is in it, as far as it can be told before it is opened.
    ///
    /// # Errors
    /// If that is of worth.
    pub fn check(&self, path: &Path) -> Result<(), Failure> {
        self.check_real(&real(path))
    }

    /// The same for a path from `/` on, without symlinks.
    ///
    /// # Errors
    /// As [`Guard::check`].
    pub fn check_real(&self, path: &Path) -> Result<(), Failure> {
        let Some((why, hint)) = self.objection(path) else {
            return Ok(());
        };
        let path = path.display();
        let refused = format!("mode=delete would empty `{path}`: {why}");
        Err(Failure::message(refused).with_hint(hint))
    }

    /// What is against emptying `path`, and what to do instead.
    fn objection(&self, path: &Path) -> Option<(String, &'static str)> {
        const OTHER: &str = "name a directory that has nothing but results";
        if let Some((what, place)) = self.lost_with(path) {
            let why = match place == path {
                true => format!("it is {what}"),
                false => format!("{what} `{}` is in it", place.display()),
            };
            return Some((why, OTHER));
        }
        if path.starts_with(&self.store) {
            return Some(("it is in the store".to_owned(), OTHER));
        }
        let here = self.here.as_deref();
        let is_below = here.is_some_and(|here| path.starts_with(here) && path != here);
        (!is_below && self.elsewhere == Elsewhere::Spared).then(|| {
            let why = "it is not below the current directory".to_owned();
            (why, "say so: --allow local.delete")
        })
    }

    /// The first of the places that would be lost with `path`.
    fn lost_with(&self, path: &Path) -> Option<(&'static str, &Path)> {
        let places = self.places.iter();
        let lost = places.filter(|(_, place)| place.starts_with(path));
        lost.map(|(what, place)| (*what, &**place)).next()
    }
}

/// `path` from `/` on and without symlinks, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = path.ancestors().find_map(|above| {
        let real = fs::canonicalize(above).ok()?;
        let rest = path.strip_prefix(above).ok()?;
        Some(real.join(rest))
    });
    // Without the slash that joining nothing leaves.
    found.unwrap_or(path).components().collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Elsewhere, Guard};

    /// Why `path` is refused: without consent, and with it.
    #[track_caller]
    fn check(path: &str, expected: [&str; 2]) {
        let said = [Elsewhere::Spared, Elsewhere::Allowed].map(|elsewhere| {
            let guard = Guard {
                elsewhere,
                here: Some("/home/u/site".into()),
                places: [
                    ("the current directory", "/home/u/site"),
                    ("the build context", "/home/u/site/src"),
                    ("the home directory", "/home/u"),
                    ("a directory of the system", "/etc"),
                ]
                .map(|(what, place)| (what, PathBuf::from(place)))
                .to_vec(),
                store: "/home/u/.local/share/rbuild".into(),
            };
            let objection = guard.objection(Path::new(path));
            objection.map_or_else(String::new, |(why, _)| why)
        });
        assert_eq!(said, expected, "{path}");
    }

    #[test]
    fn what_is_below_the_current_directory_may_be_emptied() {
        check("/home/u/site/out", [""; 2]);
        check("/home/u/site/src/vendor", [""; 2]);
    }

    #[test]
    fn other_directories_need_consent() {
        let outside = "it is not below the current directory";
        check("/srv/www", [outside, ""]);
        check("/home/u/site2", [outside, ""]);
    }

    #[test]
    fn what_is_of_worth_is_never_emptied() {
        for (path, why) in [
            ("/", "the current directory `/home/u/site` is in it"),
            ("/home/u", "the current directory `/home/u/site` is in it"),
            ("/home/u/site", "it is the current directory"),
            ("/home/u/site/src", "it is the build context"),
            ("/etc", "it is a directory of the system"),
            ("/home/u/.local/share/rbuild", "it is in the store"),
            ("/home/u/.local/share/rbuild/layers", "it is in the store"),
        ] {
            check(path, [why; 2]);
        }
    }
}
