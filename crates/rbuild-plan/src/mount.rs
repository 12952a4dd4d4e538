//! `RUN --mount`: what each key means for each type, with its defaults.
//!
//! Knows: the table of R8. Does not know: what a source holds.
//!
//! Spec: dockerfile.md R8-R12; traps T11, T44, T45.

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{self, Span, Word};
use rbuild_dockerfile::lint::rules;
use rbuild_dockerfile::mount::{MountKind as Type, SECRET_COUNTS, Sharing as Share, parse_bool};
use rbuild_oci::ImagePath;

use crate::copy::octal_mode;
use crate::fold::Fold;
use crate::op::{Access, CacheMount, Mount, MountKind, Node, Secret, Sharing, Source};

impl Fold<'_> {
    /// All mounts of one `RUN`; `None` after an error in any of them.
    pub(crate) fn mounts(
        &mut self,
        mounts: &[ast::Mount],
        source: &dyn Fn(usize) -> Source,
    ) -> Option<Vec<Mount>> {
        let mut agents = 0;
        let made: Vec<_> = mounts
            .iter()
            .enumerate()
            .map(|(index, mount)| self.mount(mount, &source(index), &mut agents))
            .collect();
        made.into_iter().collect()
    }

    fn mount(&mut self, mount: &ast::Mount, source: &Source, agents: &mut u32) -> Option<Mount> {
        let kind = match &mount.kind {
            Some(word) => self.value(word, "a type of mount", Type::parse)?,
            None => Type::default(),
        };
        match kind {
            Type::Bind => self.bind(mount, source),
            Type::Cache => self.cache(mount, source),
            Type::Tmpfs => self.tmpfs(mount),
            Type::Secret => self.secret(mount),
            Type::Ssh => {
                *agents += 1;
                self.ssh(mount, *agents - 1)
            }
        }
    }

    fn bind(&mut self, mount: &ast::Mount, source: &Source) -> Option<Mount> {
        let target = self.required_target(mount)?;
        let path = self.source_path(mount)?;
        let access = self.access(mount, Access::ReadOnly)?;
        Some(Mount {
            target,
            kind: MountKind::Bind {
                source: source.clone(),
                path,
                access,
            },
        })
    }

    fn cache(&mut self, mount: &ast::Mount, source: &Source) -> Option<Mount> {
        let target = self.required_target(mount)?;
        let path = self.source_path(mount)?;
        let id = self.text(mount.id.as_ref())?.filter(|id| !id.is_empty());
        self.check_owner(mount);
        let sharing = match &mount.sharing {
            Some(word) => self.value(word, "`shared`, `private` or `locked`", Share::parse)?,
            None => Share::default(),
        };
        let cache = CacheMount {
            id: id.unwrap_or_else(|| target.to_string()),
            sharing: match sharing {
                Share::Shared => Sharing::Shared,
                Share::Private => Sharing::Private,
                Share::Locked => Sharing::Locked,
            },
            seed: mount.from.is_some().then(|| (source.clone(), path)),
            mode: self.mode(mount, 0o755)?,
            uid: self.number(mount.uid.as_ref())?,
            gid: self.number(mount.gid.as_ref())?,
            access: self.access(mount, Access::ReadWrite)?,
        };
        Some(Mount {
            target,
            kind: MountKind::Cache(cache),
        })
    }

    /// Whether the command may write to a cache that belongs to root, as it does elsewhere.
    fn check_owner(&mut self, mount: &ast::Mount) {
        let user = &self.stage.config.config.user;
        let name = user.split(':').next().unwrap_or_default();
        let is_said = mount.uid.is_some() || mount.gid.is_some() || mount.mode.is_some();
        if is_said || matches!(name, "" | "root" | "0") {
            return;
        }
        let message =
            format!("other builders give this cache to root, but `{name}` runs the command");
        let hint = "say who owns it: `uid=…`, `gid=…`";
        let warning = Diagnostic::warning(mount.span.clone(), message).with_hint(hint);
        self.warn(warning.of_rule(rules::CACHE_MOUNT_OWNER));
    }

    fn tmpfs(&mut self, mount: &ast::Mount) -> Option<Mount> {
        let target = self.required_target(mount)?;
        let size = match &mount.size {
            Some(word) => Some(self.value(word, "a size, like `64m`", parse_size)?),
            None => None,
        };
        Some(Mount {
            target,
            kind: MountKind::Tmpfs { size },
        })
    }

    /// `source` is another word for `id` (R9).
    fn secret(&mut self, mount: &ast::Mount) -> Option<Mount> {
        let written = self.target(mount)?;
        let id = match self.text(mount.id.as_ref())? {
            Some(id) => Some(id),
            None => self.text(mount.source.as_ref())?,
        };
        let from_target = || {
            written
                .as_ref()
                .and_then(|target| target.components().last().map(str::to_owned))
        };
        let Some(id) = id.filter(|id| !id.is_empty()).or_else(from_target) else {
            let message = "a secret needs an `id` or a `target`";
            return self.fail(Diagnostic::error(mount.span.clone(), message));
        };
        let env = self
            .text(mount.env.as_ref())?
            .filter(|name| !name.is_empty());
        let base = id.rsplit('/').next().unwrap_or(&id).to_owned();
        let file = written.is_some() || env.is_none();
        let usual = ImagePath::root().join(&format!("/run/secrets/{base}"))?;
        let secret = Secret {
            id,
            file,
            env,
            node: self.node(mount, 0o400)?,
            counts: self.counts(mount)?,
            required: self.is_required(mount)?,
        };
        Some(Mount {
            target: written.unwrap_or(usual),
            kind: MountKind::Secret(secret),
        })
    }

    fn ssh(&mut self, mount: &ast::Mount, number: u32) -> Option<Mount> {
        let usual = ImagePath::root().join(&format!("/run/buildkit/ssh_agent.{number}"))?;
        let target = self.target(mount)?.unwrap_or(usual);
        let id = self.text(mount.id.as_ref())?.filter(|id| !id.is_empty());
        let kind = MountKind::Ssh {
            id: id.unwrap_or_else(|| "default".to_owned()),
            node: self.node(mount, 0o600)?,
            required: self.is_required(mount)?,
        };
        Some(Mount { target, kind })
    }

    /// Relative to the working directory (T45); never the root.
    fn target(&mut self, mount: &ast::Mount) -> Option<Option<ImagePath>> {
        let Some(word) = &mount.target else {
            return Some(None);
        };
        let text = self.expand(word)?;
        let path = self.path(&self.cwd(), &text, word)?;
        if text.is_empty() || path.is_root() {
            let message = "nothing can be mounted on `/`";
            return self.fail(Diagnostic::error(word.span.clone(), message));
        }
        Some(Some(path))
    }

    fn required_target(&mut self, mount: &ast::Mount) -> Option<ImagePath> {
        match self.target(mount)? {
            Some(target) => Some(target),
            None => self.fail(Diagnostic::error(
                mount.span.clone(),
                "this mount needs a `target`",
            )),
        }
    }

    /// Below the root of where it is from.
    fn source_path(&mut self, mount: &ast::Mount) -> Option<String> {
        let Some(word) = &mount.source else {
            return Some(String::new());
        };
        let text = self.expand(word)?;
        let path = self.path(&ImagePath::root(), &text, word)?;
        Some(path.relative().to_owned())
    }

    fn access(&mut self, mount: &ast::Mount, usual: Access) -> Option<Access> {
        let Some(written) = &mount.access else {
            return Some(usual);
        };
        let (word, yes, no) = match written {
            ast::Access::ReadOnly(word) => (word, Access::ReadOnly, Access::ReadWrite),
            ast::Access::ReadWrite(word) => (word, Access::ReadWrite, Access::ReadOnly),
        };
        let set = self.value(word, "`true` or `false`", parse_bool)?;
        Some(if set { yes } else { no })
    }

    /// Whether the content of a secret counts; nothing else can be said of it.
    fn counts(&mut self, mount: &ast::Mount) -> Option<bool> {
        let known = |text: &str| (text == SECRET_COUNTS).then_some(true);
        match &mount.cache {
            Some(word) => self.value(word, "`content`", known),
            None => Some(false),
        }
    }

    fn is_required(&mut self, mount: &ast::Mount) -> Option<bool> {
        match &mount.required {
            Some(word) => self.value(word, "`true` or `false`", parse_bool),
            None => Some(false),
        }
    }

    fn node(&mut self, mount: &ast::Mount, mode: u32) -> Option<Node> {
        Some(Node {
            mode: self.mode(mount, mode)?,
            uid: self.number(mount.uid.as_ref())?.unwrap_or(0),
            gid: self.number(mount.gid.as_ref())?.unwrap_or(0),
        })
    }

    fn mode(&mut self, mount: &ast::Mount, usual: u32) -> Option<u32> {
        match &mount.mode {
            Some(word) => self.value(word, "an octal mode", octal_mode),
            None => Some(usual),
        }
    }

    fn number(&mut self, word: Option<&Word>) -> Option<Option<u32>> {
        let Some(word) = word else { return Some(None) };
        let id = |text: &str| text.parse().ok().filter(|&id: &u32| id != u32::MAX);
        self.value(word, "a user or group number", id).map(Some)
    }

    fn text(&mut self, word: Option<&Word>) -> Option<Option<String>> {
        let Some(word) = word else { return Some(None) };
        self.expand(word).map(Some)
    }

    /// `word` expanded and understood by `parse`; it should be `what`.
    fn value<T>(
        &mut self,
        word: &Word,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.expand(word)?;
        match parse(&text) {
            Some(value) => Some(value),
            None => self.not(&text, what, &word.span),
        }
    }

    fn not<T>(&mut self, text: &str, what: &str, span: &Span) -> Option<T> {
        self.fail(Diagnostic::error(
            span.clone(),
            format!("`{text}` is not {what}"),
        ))
    }
}

/// Bytes, with a unit of powers of 1024 behind them: `64m`, `1gb`, `512KiB`.
fn parse_size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = lower[digits.len()..]
        .trim_end_matches('b')
        .trim_end_matches('i')
        .trim();
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    number
        .checked_shl(shift)
        .filter(|size| size >> shift == number)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_have_units() {
        for (text, size) in [
            ("7", Some(7)),
            ("1k", Some(1024)),
            ("64MiB", Some(64 << 20)),
            ("2 gb", Some(2 << 30)),
            ("", None),
            ("x", None),
            ("1x", None),
            ("99999999999t", None),
        ] {
            assert_eq!(parse_size(text), size, "{text}");
        }
    }
}
