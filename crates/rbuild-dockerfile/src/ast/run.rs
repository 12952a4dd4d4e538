//! `RUN`: a command, and what is around it while it runs.
//!
//! Spec: dockerfile.md 1.3, 1.12.

use super::{Command, Heredoc, Span, Spanned, Word};

/// `RUN [flags] command`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// `--mount=`, in order.
    pub mounts: Vec<Mount>,
    /// `--network=` (R5).
    pub network: Option<Spanned<Network>>,
    /// `--security=` (R6).
    pub security: Option<Spanned<Security>>,
    /// `--device=`, in order.
    pub devices: Vec<Device>,
    /// What runs.
    pub form: RunForm,
}

/// The ways to say what runs. None of the texts is expanded by the builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunForm {
    /// Without heredocs.
    Command(Command),
    /// One heredoc and nothing else: its body is the text for the shell (H5).
    Script(Heredoc),
    /// One heredoc and nothing else, and its body starts with `#!`: a program of
    /// that name, which runs without the shell (H6).
    Program(Heredoc),
    /// Shell text that opens heredocs, for the shell to read them (H7).
    Heredocs {
        /// The logical line: what precedes the first body.
        text: Spanned<String>,
        /// At least one, in order.
        heredocs: Vec<Heredoc>,
    },
}

impl RunForm {
    /// All that the shell gets as one argument; `None` if no shell is involved.
    pub fn shell_text(&self) -> Option<String> {
        match self {
            Self::Command(Command::Exec(_)) | Self::Program(_) => None,
            Self::Command(Command::Shell(text)) => Some(text.value.clone()),
            Self::Script(heredoc) => Some(heredoc.body.value.clone()),
            Self::Heredocs { text, heredocs } => Some(super::with_bodies(&text.value, heredocs)),
        }
    }

    /// The heredocs, in order.
    pub fn heredocs(&self) -> &[Heredoc] {
        match self {
            Self::Command(_) => &[],
            Self::Script(heredoc) | Self::Program(heredoc) => std::slice::from_ref(heredoc),
            Self::Heredocs { heredocs, .. } => heredocs,
        }
    }
}

/// `--mount=key[=value],…`. Values are unexpanded; what a key means for which type is in the table there.
///
/// A value without variables was checked by the parser. One with variables must be
/// checked after expansion, see [`crate::mount`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// The whole flag.
    pub span: Span,
    /// `type`; `None` is `bind`.
    pub kind: Option<Word>,
    /// `target`, `dst` or `destination`.
    pub target: Option<Word>,
    /// `source` or `src`.
    pub source: Option<Word>,
    /// `from`; its variables are only ARGs (1.17).
    pub from: Option<Spanned<String>>,
    /// `id`.
    pub id: Option<Word>,
    /// `sharing`.
    pub sharing: Option<Word>,
    /// `ro`, `readonly`, `rw` or `readwrite`; the last one counts.
    pub access: Option<Access>,
    /// `size` or `tmpfs-size`: bytes, perhaps with a unit.
    pub size: Option<Word>,
    /// `mode`: octal.
    pub mode: Option<Word>,
    /// `uid`.
    pub uid: Option<Word>,
    /// `gid`.
    pub gid: Option<Word>,
    /// `cache`.
    pub cache: Option<Word>,
    /// `required`; its value is `true` if it was written without one.
    pub required: Option<Word>,
    /// `env`.
    pub env: Option<Word>,
}

impl Mount {
    /// The options that were written: the key, and the value before its variables are replaced.
    pub fn options(&self) -> impl Iterator<Item = (&'static str, &Word)> {
        let (access, writable) = match &self.access {
            Some(Access::ReadOnly(word)) => (Some(word), "readonly"),
            Some(Access::ReadWrite(word)) => (Some(word), "readwrite"),
            None => (None, ""),
        };
        [
            ("type", self.kind.as_ref()),
            ("target", self.target.as_ref()),
            ("source", self.source.as_ref()),
            ("from", self.from.as_ref()),
            ("id", self.id.as_ref()),
            ("sharing", self.sharing.as_ref()),
            (writable, access),
            ("size", self.size.as_ref()),
            ("mode", self.mode.as_ref()),
            ("uid", self.uid.as_ref()),
            ("gid", self.gid.as_ref()),
            ("cache", self.cache.as_ref()),
            ("required", self.required.as_ref()),
            ("env", self.env.as_ref()),
        ]
        .into_iter()
        .filter_map(|(key, word)| Some((key, word?)))
    }
}

/// Whether a mount can be written to; the value is a boolean, `true` if none was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// `ro` or `readonly`.
    ReadOnly(Word),
    /// `rw` or `readwrite`.
    ReadWrite(Word),
}

/// `--network=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// What the build has.
    Default,
    /// Only a loopback device.
    None,
    /// That of the host.
    Host,
}

/// `--security=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// What the build has.
    Sandbox,
    /// More than that.
    Insecure,
}

/// `--device=NAME[,required]` (R7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The whole flag.
    pub span: Span,
    /// `vendor/class`, `vendor/class=name`, `vendor/class=*` or a class; verbatim.
    pub name: Spanned<String>,
    /// It is an error if there is none.
    pub required: bool,
}
