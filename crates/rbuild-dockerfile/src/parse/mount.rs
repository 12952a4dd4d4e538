//! `RUN --mount=key[=value],…`.
//!
//! Knows: which keys there are, and which of them a type takes.
//! Does not know: what variables in the values stand for; such values are only read.
//!
//! Spec: dockerfile.md R8–R10.

use crate::ast::{Access, Mount, Span, Word};
use crate::comma::comma_separated;
use crate::diagnostic::{Diagnostic, Severity};
use crate::mount::{KINDS, MountKind, SECRET_COUNTS, SHARINGS, Sharing, parse_bool};
use crate::suggest::nearest;

/// What a type says to a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Yes,
    /// It has no effect.
    Idle,
    No,
}
use Takes::{Idle, No, Yes};

/// The keys, and what each type says to them, in the order of [`KINDS`].
const KEYS: [(&str, [Takes; 5]); 14] = [
    ("target", [Yes, Yes, Yes, Yes, Yes]),
    ("source", [Yes, Yes, Idle, Yes, No]),
    ("from", [Yes, Yes, Idle, No, Idle]),
    ("id", [Idle, Yes, Idle, Yes, Yes]),
    ("sharing", [Idle, Yes, Idle, No, Idle]),
    ("readonly", [Yes; 5]),
    ("readwrite", [Yes; 5]),
    ("size", [Idle, Idle, Yes, Idle, Idle]),
    ("mode", [No, Yes, No, Yes, Yes]),
    ("uid", [No, Yes, No, Yes, Yes]),
    ("gid", [No, Yes, No, Yes, Yes]),
    ("required", [Idle, Idle, Idle, Yes, Yes]),
    ("env", [Idle, Idle, Idle, Yes, Idle]),
    ("cache", [No, No, No, Yes, No]),
];

/// Other names of keys.
const ALIASES: [(&str, &str); 6] = [
    ("dst", "target"),
    ("destination", "target"),
    ("src", "source"),
    ("ro", "readonly"),
    ("rw", "readwrite"),
    ("tmpfs-size", "size"),
];

/// Options of buildah that change nothing for a rootless build (R10).
const IDLE: [&str; 11] = [
    "nosuid",
    "nodev",
    "noexec",
    "z",
    "u",
    "relabel",
    "bind-propagation",
    "private",
    "shared",
    "tmpcopyup",
    "tmpfs-mode",
];

/// Reads one mount; `None` after reporting.
pub(super) fn mount(value: &Word, span: Span, found: &mut Vec<Diagnostic>) -> Option<Mount> {
    let before = found.len();
    let fields = fields(value);
    let kind = fields.iter().rfind(|field| field.key == "type");
    let kind = match kind.and_then(|field| field.value.as_ref()) {
        Some(word) => literal(word).and_then(|name| kind_called(name, word, found)),
        None => Some(MountKind::Bind),
    };
    let mut mount = Mount {
        span: span.clone(),
        ..Mount::default()
    };
    for field in fields {
        found.extend(field.objection(kind));
        if let Err(diagnostic) = field.put(&mut mount) {
            found.push(diagnostic);
        }
    }
    let failed = found[before..]
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    let missing = kind.and_then(|kind| incomplete(&mount, kind));
    if let (false, Some(missing)) = (failed, missing) {
        found.push(missing);
        return None;
    }
    (!failed).then_some(mount)
}

/// The text of a word that has no variables.
fn literal(word: &Word) -> Option<&str> {
    Some(word.value.as_str()).filter(|text| !text.contains('$'))
}

fn kind_called(name: &str, word: &Word, found: &mut Vec<Diagnostic>) -> Option<MountKind> {
    let kind = MountKind::parse(name);
    if kind.is_none() {
        found.push(not_one_of("type", word, &KINDS));
    }
    kind
}

/// What is missing, or too much, when all options are known.
fn incomplete(mount: &Mount, kind: MountKind) -> Option<Diagnostic> {
    let error = |message: String| Some(Diagnostic::error(mount.span.clone(), message));
    let name = kind.name();
    match kind {
        MountKind::Bind | MountKind::Cache | MountKind::Tmpfs => match &mount.target {
            None => error(format!("a mount of type `{name}` needs a target"))
                .map(|it| it.with_hint("add `target=/…`")),
            Some(target) if target.value.is_empty() => {
                error(format!("the target of a mount of type `{name}` is empty"))
            }
            Some(target) if is_root(&target.value) => {
                error("a mount cannot have `/` as its target".to_owned())
            }
            Some(_) => None,
        },
        MountKind::Secret if mount.source.is_some() && mount.id.is_some() => {
            error("`source` and `id` of a secret are the same thing".to_owned())
                .map(|it| it.with_hint("keep `id`"))
        }
        MountKind::Secret if [&mount.source, &mount.id, &mount.target] == [&None; 3] => {
            error("a mount of type `secret` needs an id or a target".to_owned())
                .map(|it| it.with_hint("add `id=…`"))
        }
        MountKind::Secret | MountKind::Ssh => None,
    }
}

/// Whether a literal path can only mean the root.
fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|part| matches!(part, "" | "."))
}

/// One `key[=value]`.
struct Field {
    /// Lower case, the main name of the key.
    key: String,
    /// As written.
    written: String,
    value: Option<Word>,
    /// The value's place, or the key's without one.
    span: Span,
}

impl Field {
    /// What a mount of `kind` says to this option; nothing if the type is not known.
    fn objection(&self, kind: Option<MountKind>) -> Option<Diagnostic> {
        let kind = kind?;
        let (_, takes) = KEYS.iter().find(|(name, _)| *name == self.key)?;
        let takes = takes[kind as usize];
        let (written, kind) = (&self.written, kind.name());
        match takes {
            Yes => None,
            Idle => {
                let message = format!("`{written}` has no effect on a mount of type `{kind}`");
                Some(Diagnostic::warning(self.span.clone(), message))
            }
            No => {
                let message = format!("a mount of type `{kind}` cannot have `{written}`");
                Some(Diagnostic::error(self.span.clone(), message))
            }
        }
    }

    /// Stores this option in `mount`; the last one of a name counts.
    fn put(self, mount: &mut Mount) -> Result<(), Diagnostic> {
        match self.key.as_str() {
            "type" => mount.kind = Some(self.value()?),
            "target" => mount.target = Some(self.value()?),
            "source" => mount.source = Some(self.value()?),
            "from" => mount.from = Some(self.value()?),
            "id" => mount.id = Some(self.value()?),
            "sharing" => mount.sharing = Some(self.sharing()?),
            "readonly" => mount.access = Some(Access::ReadOnly(self.switch()?)),
            "readwrite" => mount.access = Some(Access::ReadWrite(self.switch()?)),
            "size" => mount.size = Some(self.value()?),
            "mode" => mount.mode = Some(self.value()?),
            "uid" => mount.uid = Some(self.value()?),
            "gid" => mount.gid = Some(self.value()?),
            "required" => mount.required = Some(self.switch()?),
            "env" => mount.env = Some(self.value()?),
            "cache" => mount.cache = Some(self.cache()?),
            key if IDLE.contains(&key) => {
                let message = format!("`{}` has no effect here", self.written);
                return Err(Diagnostic::warning(self.span, message));
            }
            _ => return Err(self.unknown()),
        }
        Ok(())
    }

    fn value(self) -> Result<Word, Diagnostic> {
        let Self { written, span, .. } = self;
        self.value.ok_or_else(|| {
            let hint = format!("write `{written}=…`");
            Diagnostic::error(span, format!("`{written}` needs a value")).with_hint(hint)
        })
    }

    fn sharing(self) -> Result<Word, Diagnostic> {
        let word = self.value()?;
        match literal(&word).is_none_or(|name| Sharing::parse(name).is_some()) {
            true => Ok(word),
            false => Err(not_one_of("sharing", &word, &SHARINGS)),
        }
    }

    fn cache(self) -> Result<Word, Diagnostic> {
        let word = self.value()?;
        match literal(&word).is_none_or(|name| name == SECRET_COUNTS) {
            true => Ok(word),
            false => Err(not_one_of("cache", &word, &[SECRET_COUNTS])),
        }
    }

    fn switch(self) -> Result<Word, Diagnostic> {
        let Some(word) = self.value else {
            let (value, span) = ("true".to_owned(), self.span);
            return Ok(Word { value, span });
        };
        if literal(&word).is_none_or(|text| parse_bool(text).is_some()) {
            return Ok(word);
        }
        let shown: String = word.value.chars().take(40).collect();
        let message = format!("`{shown}` is neither `true` nor `false`");
        Err(Diagnostic::error(word.span, message))
    }

    fn unknown(self) -> Diagnostic {
        let shown: String = self.written.chars().take(40).collect();
        let message = format!("`RUN --mount` has no option `{shown}`");
        let names = KEYS.iter().map(|(name, _)| *name);
        let names = names.chain(ALIASES.map(|(alias, _)| alias)).chain(["type"]);
        let diagnostic = Diagnostic::error(self.span, message);
        match nearest(&self.key, names) {
            Some(meant) => diagnostic.with_hint(format!("did you mean `{meant}`?")),
            None => diagnostic,
        }
    }
}

fn not_one_of(key: &str, word: &Word, names: &[&'static str]) -> Diagnostic {
    let shown: String = word.value.chars().take(40).collect();
    let message = format!("`{key}` of a mount cannot be `{shown}`");
    let diagnostic = Diagnostic::error(word.span.clone(), message);
    match nearest(&word.value, names.iter().copied()) {
        Some(meant) => diagnostic.with_hint(format!("did you mean `{meant}`?")),
        None => diagnostic.with_hint(format!("use one of `{}`", names.join("`, `"))),
    }
}

/// The comma-separated fields of `value`. A field in double quotes may have commas in
/// it, and quotes, doubled (RFC 4180).
fn fields(value: &Word) -> Vec<Field> {
    let text = value.value.as_str();
    let fields = comma_separated(text).into_iter().map(|field| {
        // A field that was unquoted is no longer what was written.
        let verbatim = field.range.len() == field.text.len() && value.span.len() == text.len();
        let place = match verbatim {
            true => value.span.start + field.range.start..value.span.start + field.range.end,
            false => value.span.clone(),
        };
        option(&field.text, place)
    });
    fields.collect()
}

fn option(field: &str, place: Span) -> Field {
    let (written, value) = match field.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (field, None),
    };
    let lower = written.to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == lower);
    let span = match value {
        Some(value) if place.len() == field.len() => place.end - value.len()..place.end,
        _ => place,
    };
    Field {
        key: alias.map_or(lower, |(_, key)| (*key).to_owned()),
        written: written.to_owned(),
        value: value.map(|value| Word {
            value: value.to_owned(),
            span: span.clone(),
        }),
        span,
    }
}
