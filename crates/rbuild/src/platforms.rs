//! `--platform`, `--os`, `--arch`, `--variant`: what images are built for.
//!
//! Knows: which flags belong together. Does not know: which platforms a base image is there for,
//! nor whose commands can be executed here ([`crate::emulation`]).
//!
//! Spec: cli.md 2.1; dockerfile.md F13, T59.

use rbuild_oci::Platform;
use rbuild_plan::{Choice, Inputs};

use crate::{cli::InputArgs, failure::Failure};

/// What is built for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platforms {
    /// Whether anybody has said so.
    pub choice: Choice,
    /// At least one, each once, in the order in which they were named.
    pub all: Vec<Platform>,
}

impl Platforms {
    /// What `args` ask for; by default what this machine is.
    ///
    /// # Errors
    /// For what is no platform.
    pub fn of(args: &InputArgs) -> Result<Self, Failure> {
        let mut all = Vec::new();
        for text in &args.platform {
            let platform = match text.as_str() {
                "local" => Platform::default(),
                text => text.parse()?,
            };
            if !all.contains(&platform) {
                all.push(platform);
            }
        }
        let ours = Platform::default();
        let (os, arch) = (args.os.as_ref(), args.arch.as_ref());
        if os.or(arch).or(args.variant.as_ref()).is_some() {
            all.push(Platform::new(
                os.unwrap_or(&ours.os),
                arch.unwrap_or(&ours.architecture),
                args.variant.as_deref(),
            ));
        }
        Ok(match all.is_empty() {
            true => Self {
                choice: Choice::Implied,
                all: vec![ours],
            },
            false => Self {
                choice: Choice::Asked,
                all,
            },
        })
    }

    /// `inputs` of a plan for `platform`, which is one of these.
    pub fn inputs(&self, inputs: &Inputs, platform: &Platform) -> Inputs {
        Inputs {
            platform: platform.clone(),
            choice: self.choice,
            ..inputs.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Platforms;
    use crate::cli::{Cli, Command};

    /// What the flags in `line` ask for.
    fn asked(line: &str) -> Option<String> {
        let words = ["rbuild", "bud"].into_iter().chain(line.split_whitespace());
        let Command::Build(args) = Cli::try_parse_from(words).ok()?.command else {
            unreachable!("it said bud")
        };
        let found = Platforms::of(&args.input).ok()?;
        let all = found.all.iter().map(ToString::to_string);
        Some(format!(
            "{:?} {}",
            found.choice,
            all.collect::<Vec<_>>().join(" ")
        ))
    }

    #[test]
    fn platforms_are_a_list_and_each_counts_once_t59() {
        let check = |line: &str, expected: &str| {
            assert_eq!(asked(line).as_deref(), Some(expected), "{line}");
        };
        let ours = rbuild_oci::Platform::default();
        check("", &format!("Implied {ours}"));
        check("--platform local", &format!("Asked {ours}"));
        check("--platform linux/arm64/v8", "Asked linux/arm64");
        check(
            "--platform linux/amd64,linux/arm/v6 --platform arm64,x86_64",
            "Asked linux/amd64 linux/arm/v6 linux/arm64",
        );
        check("--arch arm --variant v6", "Asked linux/arm/v6");
        check("--os windows --arch amd64", "Asked windows/amd64");
    }

    #[test]
    fn what_is_no_platform_or_is_said_twice_is_refused() {
        for line in [
            "--platform a/b/c/d",
            "--platform linux/amd64,",
            "--platform linux/amd64 --arch arm",
        ] {
            assert_eq!(asked(line), None, "{line}");
        }
    }
}
