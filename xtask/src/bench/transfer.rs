//! Images on their way from and to a registry on this machine's loopback interface.
//!
//! Knows: the command lines of pull and push. A pull includes the unpacking, a push the compression:
//! the store is new each time, and the repository too, so that nothing is there already.

use std::process::Stdio;

use rbuild_testkit::{Base, Host, Registry, Scratch};

use super::builder::{Builder, Isolation, Storage, Surroundings};
use super::measure::{Sample, measure};
use super::report::Row;
use super::workload::{Scale, copy_large_file, copy_large_text, layer_of_small_files};
use super::{Course, Phase, interleaved};
use crate::bases;
use crate::error::{Error, run};
use crate::packages::path_of;

/// An image that travels.
struct Cargo {
    /// Of its rows, its context and its image.
    name: &'static str,
    /// Makes its context.
    prepare: fn(&Scratch, &str, Scale) -> Result<(), Error>,
    /// How its layers are compressed in the rows; each has one.
    formats: &'static [&'static str],
}

const CARGOES: [Cargo; 4] = [
    Cargo {
        name: "large-base",
        prepare: large_base,
        formats: &[],
    },
    Cargo {
        name: "small-files",
        prepare: layer_of_small_files,
        formats: &["gzip", "zstd"],
    },
    Cargo {
        name: "large-text",
        prepare: copy_large_text,
        formats: &["gzip", "zstd"],
    },
    Cargo {
        name: "large-file",
        prepare: copy_large_file,
        formats: &["gzip"],
    },
];

/// The base image that compilers are in.
fn large_base(scratch: &Scratch, name: &str, _: Scale) -> Result<(), Error> {
    scratch.file(&format!("{name}/Dockerfile"), "FROM golang\nENV A=b\n")?;
    Ok(())
}

/// Who can pull.
#[derive(Clone, Copy)]
enum Puller {
    Builder(Builder),
    /// To a store of podman's kind.
    Skopeo,
}

impl Puller {
    fn name(self) -> &'static str {
        match self {
            Self::Builder(builder) => builder.name(),
            Self::Skopeo => "skopeo",
        }
    }

    /// Whose store apart it fills.
    fn store(self) -> Builder {
        match self {
            Self::Builder(builder) => builder,
            Self::Skopeo => Builder::Podman(Isolation::Chroot),
        }
    }
}

/// The rows of all images whose name contains the wanted text.
pub fn rows(course: &Course<'_>) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    if path_of("docker-registry").is_none() {
        eprintln!("docker-registry: not installed, no pull and push");
        return Ok(rows);
    }
    let host = Host::new(course.surroundings.account.clone())?;
    let registry = Registry::start(&host)?;
    for cargo in &CARGOES {
        let pull = format!("pull-{}", cargo.name);
        let pushes = cargo
            .formats
            .iter()
            .map(|it| (it, format!("push-{it}-{}", cargo.name)));
        let pushes: Vec<_> = pushes.filter(|(_, name)| course.is_wanted(name)).collect();
        if pushes.is_empty() && !course.is_wanted(&pull) {
            continue;
        }
        let Surroundings { scratch, .. } = course.surroundings;
        let context = scratch.dir(cargo.name)?;
        (cargo.prepare)(scratch, cargo.name, course.scale)?;
        let way = Way {
            course,
            address: registry.address(),
            cargo,
        };
        if course.is_wanted(&pull) {
            rows.extend(way.pull(pull)?);
        }
        for (format, name) in pushes {
            rows.extend(way.push(name, format)?);
        }
        let _ = std::fs::remove_dir_all(context);
    }
    Ok(rows)
}

/// One image and one registry.
struct Way<'a> {
    course: &'a Course<'a>,
    address: String,
    cargo: &'a Cargo,
}

impl Way<'_> {
    fn pull(&self, name: String) -> Result<Vec<Row>, Error> {
        let Self { course, cargo, .. } = self;
        let surroundings = course.surroundings;
        let from = format!("{}/pulled/{}:1", self.address, cargo.name);
        let rbuild = (Builder::Rbuild, Storage::Usual);
        run(surroundings
            .build_in(rbuild, cargo.name, Phase::Cached)
            .stdout(Stdio::null()))?;
        run(&mut surroundings.push(rbuild, (cargo.name, &from), "gzip"))?;
        let mut pullers: Vec<Puller> = course
            .builders
            .iter()
            .map(|&it| Puller::Builder(it))
            .collect();
        match path_of("skopeo") {
            Some(_) => pullers.push(Puller::Skopeo),
            None => eprintln!("skopeo: not installed, left out"),
        }
        pullers.retain(|&puller| {
            let works = self.pull_once(puller, &from).is_ok();
            if !works {
                eprintln!("{}: cannot pull here, left out", puller.name());
            }
            works
        });
        eprintln!("{name}");
        let names = pullers.iter().map(|it| it.name().to_owned()).collect();
        interleaved((name, "from loopback"), names, course.rounds, |turn, _| {
            self.pull_once(pullers[turn], &from)
        })
    }

    /// Pulls to an empty store.
    fn pull_once(&self, puller: Puller, from: &str) -> Result<Sample, Error> {
        let surroundings = self.course.surroundings;
        surroundings.forget(puller.store())?;
        let mut command = match puller {
            Puller::Builder(builder) => {
                let mut command = surroundings.builder(builder, Storage::Apart);
                command.args(["pull", "--quiet", "--tls-verify=false", from]);
                command
            }
            Puller::Skopeo => {
                let store = surroundings.store(puller.store(), Storage::Apart);
                let store = store.display();
                let mut command = surroundings.command("skopeo".as_ref());
                command
                    .args(["copy", "--quiet", "--src-tls-verify=false"])
                    .arg(format!("docker://{from}"))
                    .arg(format!(
                        "containers-storage:[overlay@{store}+{store}/run]{from}"
                    ));
                command
            }
        };
        let sample = measure(&mut command)?;
        surroundings.forget(puller.store())?;
        Ok(sample)
    }

    fn push(&self, name: String, format: &str) -> Result<Vec<Row>, Error> {
        let mut builders = self.course.builders.to_vec();
        builders.retain(|&builder| {
            let works = self.push_once(builder, format, "try").is_ok();
            if !works {
                eprintln!("{}: cannot push that here, left out", builder.name());
            }
            works
        });
        eprintln!("{name}");
        let names = builders.iter().map(|it| it.name().to_owned()).collect();
        let rounds = self.course.rounds;
        interleaved((name, "to loopback"), names, rounds, |turn, round| {
            self.push_once(builders[turn], format, &round.to_string())
        })
    }

    /// Pushes an image that was just built to a new repository.
    fn push_once(&self, builder: Builder, format: &str, round: &str) -> Result<Sample, Error> {
        let (surroundings, name) = (self.course.surroundings, self.cargo.name);
        surroundings.forget(builder)?;
        let base = bases::ensure(Base::Busybox)?;
        surroundings.import((builder, Storage::Apart), Base::Busybox, &base)?;
        let mut build = surroundings.build_in((builder, Storage::Apart), name, Phase::Cached);
        run(build.stdout(Stdio::null()))?;
        let repository = [builder.program(), format, round].join("-");
        let to = format!("{}/{repository}/{name}:1", self.address);
        let mut command = surroundings.push((builder, Storage::Apart), (name, &to), format);
        let sample = measure(&mut command)?;
        surroundings.forget(builder)?;
        Ok(sample)
    }
}
