//! What can be typed after `rbuild plan`.

use clap::{Args, Parser};

use super::{BuildArgs, CallFormat, ConfineArgs, InputArgs, RegistryArgs, StepArgs};

const PLAN_NOTES: &str = "\
For each step: `cached`, or `run` and what changed since it was executed last, or `unknown` where
that depends on a base image that is not here or on files that another step would make. Nothing is
executed, pulled or recorded; what ADD names is fetched, as its content counts, and so are layers
of --cache-from that a COPY reads. Of several platforms each is told of as if there were no other.

Exit status: 0 whatever would be executed (`rbuild bud --require-cached` makes that an error), 1 for
errors, 2 for a wrong command line.

Example:
  rbuild plan --target builder --build-arg VERSION=1.3 .";

/// Tell which steps of a build would be executed, and why, and build nothing.
#[derive(Args, Debug)]
#[command(after_help = PLAN_NOTES)]
pub struct PlanArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Lines for people, or one JSON object
    #[arg(long, value_enum, default_value_t = CallFormat::Text, value_name = "FORMAT")]
    pub format: CallFormat,
    #[command(flatten, next_help_heading = "The steps")]
    pub steps: StepArgs,
    #[command(flatten, next_help_heading = "The sandbox of RUN")]
    pub confine: ConfineArgs,
    #[command(flatten, next_help_heading = "Registries")]
    pub registry: RegistryArgs,
}

impl PlanArgs {
    /// The build that is asked about.
    pub fn build(self) -> BuildArgs {
        BuildArgs {
            input: self.input,
            steps: self.steps,
            confine: self.confine,
            registry: self.registry,
            ..Plain::parse_from(["bud"]).build
        }
    }
}

/// A build that nothing is said of.
#[derive(Parser)]
struct Plain {
    #[command(flatten)]
    build: BuildArgs,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    #[test]
    fn a_plan_is_that_of_a_build_with_the_same_flags() {
        let line = "rbuild plan --no-cache --target a --ulimit nproc=9 --format json dir";
        let Command::Plan(plan) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            unreachable!("it said plan")
        };
        let build = plan.build();
        assert!(build.steps.no_cache && !build.quiet);
        assert_eq!(build.input.target, ["a"]);
        assert_eq!(build.input.context, "dir");
        assert_eq!(build.confine.ulimit, ["nproc=9"]);
    }
}
