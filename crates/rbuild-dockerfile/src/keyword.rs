//! The names of the instructions and of their flags.
//!
//! Knows: what the language has. Does not know: what any of it means.
//!
//! Spec: dockerfile.md P6, P13, C29.

use crate::suggest::nearest;

/// An instruction of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

/// How often a flag may be given, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arity {
    /// Once, with a value.
    Value,
    /// Once; its value is a boolean and may be left out.
    Switch,
    /// Any number of times, with a value each.
    List,
}

const NAMES: [(&str, Keyword); 18] = [
    ("ADD", Keyword::Add),
    ("ARG", Keyword::Arg),
    ("CMD", Keyword::Cmd),
    ("COPY", Keyword::Copy),
    ("ENTRYPOINT", Keyword::Entrypoint),
    ("ENV", Keyword::Env),
    ("EXPOSE", Keyword::Expose),
    ("FROM", Keyword::From),
    ("HEALTHCHECK", Keyword::Healthcheck),
    ("LABEL", Keyword::Label),
    ("MAINTAINER", Keyword::Maintainer),
    ("ONBUILD", Keyword::Onbuild),
    ("RUN", Keyword::Run),
    ("SHELL", Keyword::Shell),
    ("STOPSIGNAL", Keyword::Stopsignal),
    ("USER", Keyword::User),
    ("VOLUME", Keyword::Volume),
    ("WORKDIR", Keyword::Workdir),
];

impl Keyword {
    /// The instruction called `name`, in any case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, keyword)| *keyword)
    }

    /// The instruction that `name` is a misspelling of.
    pub(crate) fn meant(name: &str) -> Option<Self> {
        nearest(name, NAMES.iter().map(|(known, _)| *known)).and_then(Self::parse)
    }

    /// Its name, upper case.
    pub(crate) fn name(self) -> &'static str {
        NAMES[self as usize].0
    }

    /// Its flags, without the dashes.
    pub(crate) fn flags(self) -> &'static [(&'static str, Arity)] {
        match self {
            Self::From => &[("platform", Arity::Value), ("after", Arity::List)],
            Self::Copy => &[
                ("from", Arity::Value),
                ("chown", Arity::Value),
                ("chmod", Arity::Value),
                ("link", Arity::Switch),
                ("parents", Arity::Switch),
                ("exclude", Arity::List),
            ],
            Self::Add => &[
                ("checksum", Arity::Value),
                ("keep-git-dir", Arity::Switch),
                ("unpack", Arity::Switch),
                ("chown", Arity::Value),
                ("chmod", Arity::Value),
                ("link", Arity::Switch),
                ("exclude", Arity::List),
            ],
            Self::Run => &[
                ("mount", Arity::List),
                ("network", Arity::Value),
                ("security", Arity::Value),
                ("device", Arity::List),
            ],
            Self::Healthcheck => &[
                ("interval", Arity::Value),
                ("timeout", Arity::Value),
                ("start-period", Arity::Value),
                ("start-interval", Arity::Value),
                ("retries", Arity::Value),
            ],
            _ => &[],
        }
    }

    /// Whether its arguments may open heredocs (H1).
    pub(crate) fn takes_heredocs(self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run)
    }
}

#[cfg(test)]
mod tests {
    use super::{Keyword, NAMES};

    #[test]
    fn each_instruction_is_found_under_its_own_name() {
        for (name, keyword) in NAMES {
            assert_eq!(keyword.name(), name);
            assert_eq!(Keyword::parse(&name.to_lowercase()), Some(keyword));
        }
    }
}
