//! The checks, as data: BuildKit's 22 by its names, then ours.
//!
//! Knows: names and one line on each. Does not know: how one is found; those that need
//! more than the text are found by the plan or the engine, under the names from here.
//!
//! Spec: dockerfile.md 1.18. Each has a page in docs/checks.

/// A stage name has capital letters.
pub const STAGE_NAME_CASING: &str = "StageNameCasing";
/// `AS` is not in the case of `FROM`.
pub const FROM_AS_CASING: &str = "FromAsCasing";
/// A blank line is inside of an instruction.
pub const NO_EMPTY_CONTINUATION: &str = "NoEmptyContinuation";
/// An instruction is not in the case of the others.
pub const CONSISTENT_INSTRUCTION_CASING: &str = "ConsistentInstructionCasing";
/// Two stages have the same name.
pub const DUPLICATE_STAGE_NAME: &str = "DuplicateStageName";
/// A stage has a name that means something else.
pub const RESERVED_STAGE_NAME: &str = "ReservedStageName";
/// `CMD` or `ENTRYPOINT` keeps a shell between it and signals.
pub const JSON_ARGS_RECOMMENDED: &str = "JSONArgsRecommended";
/// `MAINTAINER` is outdated.
pub const MAINTAINER_DEPRECATED: &str = "MaintainerDeprecated";
/// `FROM` uses a variable that no `ARG` declares.
pub const UNDEFINED_ARG_IN_FROM: &str = "UndefinedArgInFrom";
/// A relative `WORKDIR` depends on what the base image says.
pub const WORKDIR_RELATIVE_PATH: &str = "WorkdirRelativePath";
/// A variable is used that nothing sets.
pub const UNDEFINED_VAR: &str = "UndefinedVar";
/// An instruction is overridden by a later one.
pub const MULTIPLE_INSTRUCTIONS_DISALLOWED: &str = "MultipleInstructionsDisallowed";
/// A pair is written without `=`.
pub const LEGACY_KEY_VALUE_FORMAT: &str = "LegacyKeyValueFormat";
/// The base image is for another platform.
pub const INVALID_BASE_IMAGE_PLATFORM: &str = "InvalidBaseImagePlatform";
/// `--platform=$TARGETPLATFORM` is the default.
pub const REDUNDANT_TARGET_PLATFORM: &str = "RedundantTargetPlatform";
/// A secret may be in `ARG` or `ENV`.
pub const SECRETS_USED_IN_ARG_OR_ENV: &str = "SecretsUsedInArgOrEnv";
/// The defaults of `ARG` make no valid base image.
pub const INVALID_DEFAULT_ARG_IN_FROM: &str = "InvalidDefaultArgInFrom";
/// `FROM --platform` is a constant.
pub const FROM_PLATFORM_FLAG_CONST_DISALLOWED: &str = "FromPlatformFlagConstDisallowed";
/// A file is copied that the ignore file excludes.
pub const COPY_IGNORED_FILE: &str = "CopyIgnoredFile";
/// A comment above a stage or `ARG` does not describe it.
pub const INVALID_DEFINITION_DESCRIPTION: &str = "InvalidDefinitionDescription";
/// The protocol of a port has capital letters.
pub const EXPOSE_PROTO_CASING: &str = "ExposeProtoCasing";
/// A port has an address or a host port.
pub const EXPOSE_INVALID_FORMAT: &str = "ExposeInvalidFormat";
/// A script goes on after a command that failed.
pub const HEREDOC_WITHOUT_ERREXIT: &str = "HeredocWithoutErrexit";
/// A wildcard matches nothing.
pub const EMPTY_WILDCARD: &str = "EmptyWildcard";
/// A build argument is given that no `ARG` takes.
pub const UNUSED_BUILD_ARG: &str = "UnusedBuildArg";
/// The base image may change from build to build.
pub const UNPINNED_BASE: &str = "UnpinnedBase";
/// A cache mount belongs to root, the command to another user.
pub const CACHE_MOUNT_OWNER: &str = "CacheMountOwner";

/// One check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as in `# check=skip=NAME`.
    pub name: &'static str,
    /// What it finds, one line.
    pub what: &'static str,
    /// Reported only where `# check=experimental=NAME` asks for it.
    pub experimental: bool,
}

impl Rule {
    const fn new(name: &'static str, what: &'static str) -> Self {
        Self {
            name,
            what,
            experimental: false,
        }
    }

    const fn experimental(name: &'static str, what: &'static str) -> Self {
        Self {
            name,
            what,
            experimental: true,
        }
    }

    /// The path of its page, from the root of the project.
    pub fn page(&self) -> String {
        format!("docs/checks/{}.md", self.name)
    }
}

/// All checks.
pub const RULES: [Rule; 27] = [
    Rule::new(STAGE_NAME_CASING, "a stage name has capital letters"),
    Rule::new(FROM_AS_CASING, "`AS` is not in the case of `FROM`"),
    Rule::new(
        NO_EMPTY_CONTINUATION,
        "a blank line is inside of an instruction",
    ),
    Rule::new(
        CONSISTENT_INSTRUCTION_CASING,
        "an instruction is not in the case of the others",
    ),
    Rule::new(DUPLICATE_STAGE_NAME, "two stages have the same name"),
    Rule::new(
        RESERVED_STAGE_NAME,
        "a stage has a name that means something else",
    ),
    Rule::new(
        JSON_ARGS_RECOMMENDED,
        "`CMD` or `ENTRYPOINT` keeps a shell between it and signals",
    ),
    Rule::new(MAINTAINER_DEPRECATED, "`MAINTAINER` is outdated"),
    Rule::new(
        UNDEFINED_ARG_IN_FROM,
        "`FROM` uses a variable that no `ARG` declares",
    ),
    Rule::new(
        WORKDIR_RELATIVE_PATH,
        "a relative `WORKDIR` depends on what the base image says",
    ),
    Rule::new(UNDEFINED_VAR, "a variable is used that nothing sets"),
    Rule::new(
        MULTIPLE_INSTRUCTIONS_DISALLOWED,
        "an instruction is overridden by a later one",
    ),
    Rule::new(LEGACY_KEY_VALUE_FORMAT, "a pair is written without `=`"),
    Rule::new(
        INVALID_BASE_IMAGE_PLATFORM,
        "the base image is for another platform",
    ),
    Rule::new(
        REDUNDANT_TARGET_PLATFORM,
        "`--platform=$TARGETPLATFORM` is the default",
    ),
    Rule::new(
        SECRETS_USED_IN_ARG_OR_ENV,
        "a secret may be in `ARG` or `ENV`",
    ),
    Rule::new(
        INVALID_DEFAULT_ARG_IN_FROM,
        "the defaults of `ARG` make no valid base image",
    ),
    Rule::new(
        FROM_PLATFORM_FLAG_CONST_DISALLOWED,
        "`FROM --platform` is a constant",
    ),
    Rule::new(
        COPY_IGNORED_FILE,
        "a file is copied that the ignore file excludes",
    ),
    Rule::experimental(
        INVALID_DEFINITION_DESCRIPTION,
        "a comment above a stage or `ARG` does not describe it",
    ),
    Rule::new(
        EXPOSE_PROTO_CASING,
        "the protocol of a port has capital letters",
    ),
    Rule::new(
        EXPOSE_INVALID_FORMAT,
        "a port has an address or a host port",
    ),
    Rule::new(
        HEREDOC_WITHOUT_ERREXIT,
        "a script goes on after a command that failed",
    ),
    Rule::new(EMPTY_WILDCARD, "a wildcard matches nothing"),
    Rule::new(
        UNUSED_BUILD_ARG,
        "a build argument is given that no `ARG` takes",
    ),
    Rule::experimental(
        UNPINNED_BASE,
        "the base image may change from build to build",
    ),
    Rule::new(
        CACHE_MOUNT_OWNER,
        "a cache mount belongs to root, the command to another user",
    ),
];

/// The check called `name`; case counts.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

#[cfg(test)]
mod tests {
    use super::{RULES, rule};
    use std::path::Path;

    #[test]
    fn each_rule_has_a_name_of_its_own_and_a_page() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for each in &RULES {
            assert_eq!(rule(each.name), Some(each));
            let page = std::fs::read_to_string(root.join(each.page())).unwrap_or_default();
            assert!(
                page.starts_with(&format!("# {}\n", each.name)),
                "{}",
                each.page()
            );
        }
    }
}
