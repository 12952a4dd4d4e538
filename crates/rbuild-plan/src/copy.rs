//! `COPY` and `ADD`: their words made into paths, an owner and a mode.
//!
//! Knows: how sources and destinations are written.
//! Does not know: which files exist; wildcards are left for those who see the files.
//!
//! Spec: dockerfile.md 1.3 H4, 1.10 C1, C2, C17, C20-C28, 1.11 X3, X5; traps T14, T25, T26.

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{self, Heredoc, Span, Spanned, Word};
use rbuild_oci::{Digest, ImagePath, ModeChange};

use crate::fold::Fold;
use crate::history::{self, CopyWords};
use crate::op::{Archives, Copy, Item, Op, Source};

/// The parts that `COPY` and `ADD` have in common.
struct Parts<'a> {
    name: &'static str,
    chown: Option<&'a Word>,
    chmod: Option<&'a Word>,
    link: Option<&'a Spanned<bool>>,
    parents: Option<&'a Spanned<bool>>,
    exclude: &'a [Spanned<String>],
    sources: &'a [Word],
    heredocs: &'a [Heredoc],
    destination: &'a Word,
    archives: Archives,
    /// Where paths are looked up.
    source: &'a Source,
    /// The whole instruction.
    span: &'a Span,
}

impl Fold<'_> {
    pub(crate) fn copy(&mut self, copy: &ast::Copy, source: &Source, span: &Span) -> Option<()> {
        let parts = Parts {
            name: "COPY",
            chown: copy.chown.as_ref(),
            chmod: copy.chmod.as_ref(),
            link: copy.link.as_ref(),
            parents: copy.parents.as_ref(),
            exclude: &copy.exclude,
            sources: &copy.sources,
            heredocs: &copy.heredocs,
            destination: &copy.destination,
            archives: Archives::Keep,
            source,
            span,
        };
        let keep_parents = parts.parents.is_some_and(|flag| flag.value);
        let mut items = Vec::new();
        let texts = self.expand_all(parts.sources);
        for (text, word) in texts.iter().flatten().zip(parts.sources) {
            if is_remote(text) {
                let message = format!("`COPY` cannot fetch `{text}`");
                let diagnostic = Diagnostic::error(word.span.clone(), message);
                return self.fail(diagnostic.with_hint("`ADD` can"));
            }
            let path = match keep_parents {
                true => pivoted(text),
                false => self.pattern(text, word)?,
            };
            items.push(Item::Path(path));
        }
        self.place(&parts, texts?, items)
    }

    pub(crate) fn add(&mut self, add: &ast::Add, span: &Span) -> Option<()> {
        let unpack = add.unpack.as_ref().map(|flag| flag.value);
        let archives = |unpack: bool| {
            if unpack {
                Archives::Unpack
            } else {
                Archives::Keep
            }
        };
        let parts = Parts {
            name: "ADD",
            chown: add.chown.as_ref(),
            chmod: add.chmod.as_ref(),
            link: add.link.as_ref(),
            parents: None,
            exclude: &add.exclude,
            sources: &add.sources,
            heredocs: &add.heredocs,
            destination: &add.destination,
            archives: archives(unpack.unwrap_or(true)),
            source: &Source::Context,
            span,
        };
        let checksum = self.checksum(add)?;
        let texts = self.expand_all(parts.sources);
        let mut items = Vec::new();
        for (text, word) in texts.iter().flatten().zip(parts.sources) {
            items.push(if is_git(text) {
                Item::Git {
                    url: text.clone(),
                    checksum: checksum.clone(),
                    keep_git_dir: add.keep_git_dir.as_ref().map(|flag| flag.value),
                }
            } else if is_http(text) {
                let archives = archives(unpack.unwrap_or(false));
                Item::Url {
                    url: text.clone(),
                    checksum: checksum.clone(),
                    archives,
                }
            } else {
                Item::Path(self.pattern(text, word)?)
            });
        }
        if let (Some(word), Some(text)) = (&add.checksum, &checksum)
            && let Some(message) = against(text, &items)
        {
            return self.fail(Diagnostic::error(word.span.clone(), message));
        }
        self.place(&parts, texts?, items)
    }

    /// What is left is the same for both.
    fn place(
        &mut self,
        parts: &Parts<'_>,
        sources: Vec<String>,
        mut items: Vec<Item>,
    ) -> Option<()> {
        // All parts are looked at before the first error ends it.
        let inline = self.inline(parts.heredocs);
        let destination = self.expand(parts.destination);
        let chown = self.chown(parts.chown);
        let chmod = self.chmod(parts.chmod);
        let (inline, destination, chown, chmod) = (inline?, destination?, chown?, chmod?);
        items.extend(inline);
        let path = self.path(&self.cwd(), &destination, parts.destination)?;
        let created_by = history::copy(&CopyWords {
            name: parts.name,
            flags: told(
                parts,
                chown.as_deref(),
                chmod.as_ref().map(ToString::to_string).as_deref(),
            ),
            sources: &[sources, opened(parts.heredocs)].concat(),
            destination: &destination,
        });
        let op = Op::Copy(Box::new(Copy {
            source: parts.source.clone(),
            items,
            destination: path,
            destination_is_dir: is_directory(&destination),
            chown,
            // BuildKit: a mode makes it an ordinary copy (C22).
            link: parts.link.is_some_and(|flag| flag.value) && chmod.is_none(),
            chmod,
            parents: parts.parents.is_some_and(|flag| flag.value),
            exclude: parts
                .exclude
                .iter()
                .map(|pattern| pattern.value.clone())
                .collect(),
            archives: parts.archives,
        }));
        self.push_step(op, parts.span, created_by);
        Some(())
    }

    /// The files of heredocs: the body with its variables, all quotes kept (H3, H4).
    fn inline(&mut self, heredocs: &[Heredoc]) -> Option<Vec<Item>> {
        let mut items = Vec::new();
        for heredoc in heredocs {
            let content = match heredoc.quoted {
                true => heredoc.body.value.clone(),
                false => self.expand_body(&heredoc.body)?,
            };
            items.push(Item::Inline {
                name: heredoc.name.value.clone(),
                content,
            });
        }
        Some(items)
    }

    /// A source, seen from the root that it is below (C1).
    fn pattern(&mut self, text: &str, word: &Word) -> Option<String> {
        let path = self.path(&ImagePath::root(), text, word)?;
        Some(path.relative().to_owned())
    }

    pub(crate) fn path(&mut self, from: &ImagePath, text: &str, word: &Word) -> Option<ImagePath> {
        let path = from.join(text);
        if path.is_none() {
            let message = "a path cannot have a NUL in it";
            return self.fail(Diagnostic::error(word.span.clone(), message));
        }
        path
    }

    fn checksum(&mut self, add: &ast::Add) -> Option<Option<String>> {
        let Some(word) = &add.checksum else {
            return Some(None);
        };
        self.expand(word).map(Some)
    }

    /// `Some(None)` if it was not written. Nothing left after expansion is an error:
    /// it would silently mean root (T14).
    fn chown(&mut self, word: Option<&Word>) -> Option<Option<String>> {
        let Some(word) = word else { return Some(None) };
        let text = self.expand(word)?;
        if text.is_empty() {
            let message = format!("`--chown={}` names no owner", word.value);
            return self.fail(Diagnostic::error(word.span.clone(), message));
        }
        Some(Some(text))
    }

    /// `Some(None)` if it was not written.
    fn chmod(&mut self, word: Option<&Word>) -> Option<Option<ModeChange>> {
        let Some(word) = word else { return Some(None) };
        let text = self.expand(word)?;
        match text.parse() {
            Ok(change) => Some(Some(change)),
            Err(_) => {
                let message = format!("`{text}` is not a mode");
                let diagnostic = Diagnostic::error(word.span.clone(), message);
                self.fail(
                    diagnostic
                        .with_hint("modes are octal, from `0` to `07777`, or like `u=rwX,go=rX`"),
                )
            }
        }
    }
}

/// The flags that history tells, in BuildKit's order; it does not tell `--link`.
fn told<'a>(
    parts: &Parts<'_>,
    chown: Option<&'a str>,
    chmod: Option<&'a str>,
) -> Vec<(&'static str, Option<&'a str>)> {
    let set = |flag: Option<&Spanned<bool>>| flag.is_some_and(|flag| flag.value);
    let mut flags = Vec::new();
    flags.extend(set(parts.parents).then_some(("--parents", None)));
    flags.extend(chown.map(|value| ("--chown", Some(value))));
    flags.extend(chmod.map(|value| ("--chmod", Some(value))));
    flags
}

/// Heredocs as history tells them.
fn opened(heredocs: &[Heredoc]) -> Vec<String> {
    heredocs
        .iter()
        .map(|heredoc| format!("<<{}", heredoc.name.value))
        .collect()
}

/// A source with its pivot (C24) left in: `/a/./b` is `a/./b`.
fn pivoted(text: &str) -> String {
    let clean = |part: &str| {
        let root = ImagePath::root().join(part).unwrap_or_else(ImagePath::root);
        root.relative().to_owned()
    };
    let relative = text.trim_start_matches('/');
    let relative = relative.strip_prefix("./").unwrap_or(relative);
    match relative.split_once("/./") {
        Some((before, after)) => format!("{}/./{}", clean(before), clean(after)),
        None => clean(relative),
    }
}

/// What speaks against `checksum` for `items` (C26).
fn against(checksum: &str, items: &[Item]) -> Option<String> {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match items {
        [Item::Url { .. }] if checksum.parse::<Digest>().is_err() => Some(format!(
            "`{checksum}` is not `sha256:` and 64 hexadecimal digits"
        )),
        [Item::Git { .. }] if checksum.is_empty() || !hex(checksum) => Some(format!(
            "`{checksum}` is not a commit, nor the first digits of one"
        )),
        [Item::Url { .. } | Item::Git { .. }] => None,
        _ => Some("`--checksum` is for one source that is fetched".to_owned()),
    }
}

/// All files of the named context `name`, as the root of a tree.
pub(crate) fn all_of(name: &str) -> Copy {
    Copy {
        source: Source::Named(name.to_owned()),
        items: vec![Item::Path(String::new())],
        destination: ImagePath::root(),
        destination_is_dir: true,
        chown: None,
        chmod: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
        archives: Archives::Keep,
    }
}

/// What only `ADD` can fetch (C17).
fn is_remote(text: &str) -> bool {
    is_http(text) || is_git(text)
}

fn is_http(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// A repository: by its scheme, or a web address whose path ends in `.git` (X5).
fn is_git(text: &str) -> bool {
    let ssh = |rest: &str| rest.contains(':');
    if text.starts_with("git://")
        || text.starts_with("ssh://")
        || text.strip_prefix("git@").is_some_and(ssh)
    {
        return true;
    }
    let address = text.split(['#', '?']).next().unwrap_or(text);
    is_http(text) && address.ends_with(".git")
}

/// Whether `destination` can only mean a directory (C2).
fn is_directory(destination: &str) -> bool {
    matches!(destination, "" | ".") || destination.ends_with('/') || destination.ends_with("/.")
}

/// `text` as a mode of at most 12 bits.
pub(crate) fn octal_mode(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| digits)?;
    (mode <= 0o7777).then_some(mode)
}
