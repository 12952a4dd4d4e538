//! The names of the instructions and of their flags.
//!
//! Knows: what the language has, and which part of it rbuild has.
//! Does not know: what any of it means.
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

/// What is known about a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// Parsed and obeyed.
    Now,
    /// Part of the language, not of this version.
    Later,
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
    pub(crate) fn flags(self) -> &'static [(&'static str, Support)] {
        match self {
            Self::From => &[("platform", Support::Now), ("after", Support::Later)],
            Self::Copy => &[
                ("from", Support::Now),
                ("chown", Support::Now),
                ("chmod", Support::Now),
                ("link", Support::Later),
                ("parents", Support::Later),
                ("exclude", Support::Later),
            ],
            Self::Run => &[
                ("mount", Support::Later),
                ("network", Support::Later),
                ("security", Support::Later),
                ("device", Support::Later),
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
