//! How an image is written down: what the flags about that mean together. Pure.
//!
//! Spec: cli.md 2.1, 2.4, 2.8.

use std::collections::BTreeMap;

use rbuild_export::{Annotations, Stamp, Telling};
use rbuild_oci::{FileTimes, Format};
use rbuild_plan::Inheritance;

use crate::{
    cli::{DescriptionArgs, ImageFormat},
    failure::Failure,
    output::{Part, Remarks},
};

/// The name of the label, and of the build argument that carries the time.
const IDENTITY: &str = "io.rbuild.version";
pub const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// How an image is written down.
#[derive(Debug)]
pub struct Description {
    /// The time of all that is new; `None`: when it was made.
    pub epoch: Option<i64>,
    /// What becomes of the times of files in new layers.
    pub files: FileTimes,
    /// Whose manifest it is.
    pub format: Format,
    /// Whether it says how it was made.
    pub telling: Telling,
    /// What becomes of labels of bases.
    pub labels_of_base: Inheritance,
    /// A label that names this program.
    pub identity: Option<(String, String)>,
    /// What manifests say.
    pub said: Remarks,
    /// What is said where the images are listed.
    pub listed: Remarks,
    unset: Vec<String>,
    of_base: Inheritance,
    created: Stamp,
}

impl Description {
    /// What `args` ask for; `epoch` is the time that `SOURCE_DATE_EPOCH` says, and `rewrite`
    /// whether files get it, as far as anybody says.
    ///
    /// # Errors
    /// Flags that cannot be obeyed together.
    pub fn of(
        args: &DescriptionArgs,
        (epoch, rewrite): (Option<i64>, Option<bool>),
    ) -> Result<Self, Failure> {
        let format = match args.format {
            ImageFormat::Oci => Format::Oci,
            ImageFormat::Docker => Format::Docker,
        };
        let all = annotations(&args.annotation)?;
        if format == Format::Docker && !all.is_empty() {
            return Err(
                Failure::message("an image in docker's format has no annotations")
                    .with_hint("leave --annotation out, or use --format oci"),
            );
        }
        let (epoch, files) = times(args, epoch, rewrite)?;
        Ok(Self {
            epoch,
            files,
            format,
            telling: match args.omit_history {
                true => Telling::Omitted,
                false => Telling::Told,
            },
            labels_of_base: inherited(args.inherit_labels),
            identity: args
                .identity_label
                .then(|| (IDENTITY.to_owned(), env!("CARGO_PKG_VERSION").to_owned())),
            said: all.only(|part| part == Part::Manifest),
            listed: all.only(|part| part != Part::Manifest),
            unset: args.unsetannotation.clone(),
            of_base: inherited(args.inherit_annotations),
            created: match args.created_annotation {
                true => Stamp::Written,
                false => Stamp::Omitted,
            },
        })
    }

    /// What a manifest is to say, for which `set` is asked for.
    pub fn annotations<'a>(&'a self, set: &'a BTreeMap<String, String>) -> Annotations<'a> {
        Annotations {
            set,
            unset: &self.unset,
            of_base: self.of_base,
            created: self.created,
        }
    }

    /// Lets `ARG SOURCE_DATE_EPOCH` have the time, as other builders do.
    pub fn add_epoch(&self, build_args: &mut BTreeMap<String, String>) {
        if let Some(epoch) = self.epoch {
            let arg = build_args.entry(EPOCH.to_owned());
            arg.or_insert_with(|| epoch.to_string());
        }
    }
}

fn inherited(kept: bool) -> Inheritance {
    match kept {
        true => Inheritance::Kept,
        false => Inheritance::Dropped,
    }
}

/// The time of all that is new, and what becomes of the times of files. Flags win over
/// `SOURCE_DATE_EPOCH`, which is `epoch`.
fn times(
    args: &DescriptionArgs,
    epoch: Option<i64>,
    rewrite: Option<bool>,
) -> Result<(Option<i64>, FileTimes), Failure> {
    if let Some(exactly) = args.timestamp {
        if rewrite == Some(false) {
            let message = "rewrite-timestamp=false contradicts --timestamp, the time of all files";
            return Err(Failure::message(message));
        }
        return Ok((Some(exactly), FileTimes::Exactly { exactly }));
    }
    let epoch = args.source_date_epoch.or(epoch);
    let files = match (epoch, rewrite) {
        (Some(epoch), None | Some(true)) => FileTimes::AtMost(epoch),
        (_, Some(false)) | (None, None) => FileTimes::Kept,
        (None, Some(true)) => {
            return Err(Failure::message("rewrite-timestamp needs a time to write")
                .with_hint("add --source-date-epoch SECONDS, or set SOURCE_DATE_EPOCH"));
        }
    };
    Ok((epoch, files))
}

/// `KEY=VALUE`, also with buildx's prefix, such as `index:` or `manifest[linux/amd64]:`.
fn annotations(flags: &[String]) -> Result<Remarks, Failure> {
    let mut all = Remarks::default();
    for flag in flags {
        let bad = |why: String| {
            Failure::message(format!("cannot understand --annotation `{flag}`: {why}"))
                .with_hint("write KEY=VALUE, or index:KEY=VALUE")
        };
        let (name, value) = flag
            .split_once('=')
            .ok_or_else(|| bad("it has no `=`".to_owned()))?;
        let (places, key) = match name.split_once(':') {
            Some((places, key)) if places.split(',').all(is_place) => (places, key),
            _ => ("manifest", name),
        };
        if key.is_empty() {
            return Err(bad("the key is empty".to_owned()));
        }
        for place in places.split(',') {
            let attribute = format!("annotation-{place}.{key}");
            all.add(&attribute, value).map_err(bad)?;
        }
    }
    Ok(all)
}

/// Whether buildx knows an annotation's prefix of that name.
fn is_place(text: &str) -> bool {
    let place = text.split_once('[').map_or(text, |(place, _)| place);
    [
        "index",
        "index-descriptor",
        "manifest",
        "manifest-descriptor",
    ]
    .contains(&place)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Description, annotations};
    use crate::{
        cli::{Cli, Command},
        output::Part,
    };

    /// What `flags` and `SOURCE_DATE_EPOCH` make of times: `epoch files`.
    #[track_caller]
    fn times(flags: &str, epoch: Option<i64>) -> Result<String, String> {
        let line = ["rbuild", "bud"]
            .into_iter()
            .chain(flags.split_whitespace());
        let cli = Cli::try_parse_from(line).map_err(|error| error.kind().to_string())?;
        let Command::Build(args) = cli.command else {
            unreachable!("it said bud")
        };
        let rewrite = args.description.rewrite_timestamp;
        let description = Description::of(&args.description, (epoch, rewrite));
        let description = description.map_err(|_| "refused".to_owned())?;
        Ok(format!("{:?} {:?}", description.epoch, description.files))
    }

    #[test]
    fn times_are_those_of_the_flags_else_of_the_environment() {
        let cases: &[(&str, Option<i64>, &str)] = &[
            ("", None, "None Kept"),
            ("", Some(7), "Some(7) AtMost(7)"),
            ("--source-date-epoch 5", Some(7), "Some(5) AtMost(5)"),
            ("--rewrite-timestamp=false", Some(7), "Some(7) Kept"),
            ("--rewrite-timestamp=false", None, "None Kept"),
            (
                "--source-date-epoch=5 --rewrite-timestamp",
                None,
                "Some(5) AtMost(5)",
            ),
            ("--timestamp 0", Some(7), "Some(0) Exactly { exactly: 0 }"),
        ];
        for (flags, epoch, expected) in cases {
            assert_eq!(times(flags, *epoch).as_deref(), Ok(*expected), "{flags}");
        }
    }

    #[test]
    fn times_that_contradict_each_other_are_refused() {
        for flags in [
            "--timestamp 1 --source-date-epoch 1",
            "--timestamp 1 --rewrite-timestamp",
            "--timestamp=-1",
            "--timestamp noon",
            "--rewrite-timestamp",
            "--format docker --annotation a=b",
        ] {
            assert!(times(flags, None).is_err(), "{flags}");
        }
    }

    #[test]
    fn annotations_are_of_the_manifest_unless_they_say_of_what() {
        let parse = |flag: &str| {
            let all = annotations(&[flag.to_owned()]).ok()?;
            let platform = "linux/arm64".parse().unwrap();
            let parts = [Part::Manifest, Part::Entry, Part::Index, Part::IndexEntry];
            let said = parts.into_iter().flat_map(|part| {
                let of = all.of(part, &platform).into_iter();
                of.map(move |(key, value)| format!("{} {key}|{value}", part.name()))
            });
            Some(said.collect::<Vec<_>>().join(", "))
        };
        for (flag, expected) in [
            ("a=b=c", "manifest a|b=c"),
            ("a=", "manifest a|"),
            ("manifest:a=b", "manifest a|b"),
            ("manifest[linux/arm64]:a.b=c", "manifest a.b|c"),
            ("manifest[linux/amd64]:a=b", ""),
            ("x:a=b", "manifest x:a|b"),
            ("index:a=b", "index a|b"),
            ("index-descriptor:a=b", "index-descriptor a|b"),
            (
                "index,manifest-descriptor[linux/arm64],manifest:a=b",
                "manifest a|b, manifest-descriptor a|b, index a|b",
            ),
        ] {
            assert_eq!(parse(flag).as_deref(), Some(expected), "{flag}");
        }
        for refused in [
            "a",
            "=b",
            "manifest:=b",
            "index:=b",
            "index[linux/amd64]:a=b",
            "manifest[]:a=b",
        ] {
            assert_eq!(parse(refused), None, "{refused}");
        }
    }
}
