//! What a text that names a build context or a source of ADD means. Pure.
//!
//! Knows: the forms of CONTEXT on the command line, of `--build-context`, of a source of `ADD`.
//! Does not know: which of them exist.
//!
//! Spec: dockerfile.md 1.13, I1; 1.5, F5.

use std::fmt;

use rbuild_http::{Url, without_user};
use rbuild_oci::Platform;

use crate::{
    error::{Error, Result},
    git::{GitSource, Shorthand},
};

/// The main build context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextSpec {
    /// A path of this machine, as written: a directory, or what standard input may be.
    Local(String),
    /// Standard input: an archive, or a Dockerfile without context.
    Stdin,
    /// A git repository.
    Git(Box<GitSource>),
    /// An archive, or a Dockerfile without context.
    Url(Url),
}

impl ContextSpec {
    /// Understands `text`. A text like `github.com/a/b` is git: whoever means a directory writes
    /// `./github.com/a/b`.
    ///
    /// # Errors
    /// [`Error::GitSource`], [`Error::Http`] for an URL that is wrong, [`Error::ContextName`]
    /// if it is empty.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why| Error::ContextName {
            text: without_user(text),
            why,
        };
        match text {
            "" => return Err(bad("is empty")),
            "-" => return Ok(Self::Stdin),
            _ => {}
        }
        if let Some(source) = GitSource::parse(text, Shorthand::Accepted) {
            return Ok(Self::Git(Box::new(source?)));
        }
        match text.split_once("://") {
            Some(("http" | "https", _)) => Ok(Self::Url(text.parse()?)),
            Some((scheme, _)) if is_scheme(scheme) => Err(bad("has a scheme that is not known")),
            _ if text.contains('\0') => Err(bad("has a NUL in it")),
            _ => Ok(Self::Local(text.to_owned())),
        }
    }
}

impl fmt::Display for ContextSpec {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => f.write_str(path),
            Self::Stdin => f.write_str("standard input"),
            Self::Git(source) => source.fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

/// A source of `ADD`, which may be remote (X3, X5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddSource {
    /// A path or a wildcard, below the root of the context.
    Local,
    /// A file of the web.
    Url(Url),
    /// Files of a git repository.
    Git(Box<GitSource>),
}

impl AddSource {
    /// Understands `text`; what is not remote is local.
    ///
    /// # Errors
    /// [`Error::GitSource`], and [`Error::Http`] for an URL that is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(source) = GitSource::parse(text, Shorthand::Refused) {
            return Ok(Self::Git(Box::new(source?)));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Url(text.parse()?));
        }
        Ok(Self::Local)
    }
}

/// What `--build-context NAME=VALUE` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedContext {
    /// What `FROM`, `COPY --from` and `--mount=from` call it.
    pub name: String,
    /// The only platform that it is for: `NAME::PLATFORM`.
    pub platform: Option<Platform>,
    /// What it is.
    pub source: NamedSource,
}

/// What a named context is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedSource {
    /// Files; never standard input.
    Files(ContextSpec),
    /// The image with this reference, as written; `scratch` means no image at all.
    Image(String),
    /// An image of an OCI layout: the directory, then `:TAG` or `@DIGEST` if there is one.
    Layout(String),
}

impl NamedContext {
    /// Understands `NAME=VALUE` or `NAME::PLATFORM=VALUE`.
    ///
    /// # Errors
    /// [`Error::ContextName`], [`Error::ContextPlatform`], and those of [`ContextSpec::parse`].
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why| Error::ContextName {
            text: without_user(text),
            why,
        };
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| bad("is not of the form `NAME=VALUE`"))?;
        let (name, platform) = match name.split_once("::") {
            Some((name, platform)) => {
                let parsed = platform.parse();
                (name, Some(parsed.map_err(Error::ContextPlatform)?))
            }
            None => (name, None),
        };
        if name.is_empty() {
            return Err(bad("has no name"));
        }
        if name.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(bad("has spaces or control characters in its name"));
        }
        let image = ["docker-image://", "container-image://", "docker://"];
        let image = image.iter().find_map(|scheme| value.strip_prefix(scheme));
        let source = match (image, value.strip_prefix("oci-layout://")) {
            (Some(""), _) | (_, Some("")) => return Err(bad("names no image")),
            (Some(image), _) => NamedSource::Image(image.to_owned()),
            (None, Some(layout)) => NamedSource::Layout(layout.to_owned()),
            (None, None) => NamedSource::Files(ContextSpec::parse(value)?),
        };
        if source == NamedSource::Files(ContextSpec::Stdin) {
            return Err(bad("is standard input, which is for the main context only"));
        }
        Ok(Self {
            name: name.to_owned(),
            platform,
            source,
        })
    }
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::{prop_assert, proptest};

    use super::{AddSource, ContextSpec, NamedContext};

    #[expect(clippy::needless_pass_by_value, reason = "what `expect!` makes")]
    #[track_caller]
    fn check(texts: &[&str], expected: Expect) {
        let lines: Vec<String> = texts
            .iter()
            .map(|text| match ContextSpec::parse(text) {
                Ok(ContextSpec::Local(path)) => format!("{text} => local {path}\n"),
                Ok(ContextSpec::Stdin) => format!("{text} => stdin\n"),
                Ok(ContextSpec::Git(source)) => format!("{text} => git {source}\n"),
                Ok(ContextSpec::Url(url)) => format!("{text} => url {url}\n"),
                Err(error) => format!("{text} => {error}\n"),
            })
            .collect();
        expected.assert_eq(&lines.concat());
    }

    #[test]
    fn contexts_are_directories_streams_repositories_or_archives_i1() {
        check(
            &[
                ".",
                "dir.git",
                "a@b",
                "-",
                "",
                "./-",
                "github.com/a/b#main:sub",
                "./github.com/a/b",
                "git@github.com:a/b",
                "https://github.com/a/b.git",
                "https://h/ctx.tar.gz?x=1",
                "https://me:secret@h/ctx.tar",
                "ftp://h/x",
                "C:/dir",
            ],
            expect![[r#"
                . => local .
                dir.git => local dir.git
                a@b => local a@b
                - => stdin
                 => build context `` is empty
                ./- => local ./-
                github.com/a/b#main:sub => git https://github.com/a/b#main:sub
                ./github.com/a/b => local ./github.com/a/b
                git@github.com:a/b => git git@github.com:a/b
                https://github.com/a/b.git => git https://github.com/a/b.git
                https://h/ctx.tar.gz?x=1 => url https://h/ctx.tar.gz?x=1
                https://me:secret@h/ctx.tar => cannot fetch a file
                ftp://h/x => build context `ftp://h/x` has a scheme that is not known
                C:/dir => local C:/dir
            "#]],
        );
    }

    #[expect(clippy::needless_pass_by_value, reason = "what `expect!` makes")]
    #[track_caller]
    fn check_named(texts: &[&str], expected: Expect) {
        let lines: Vec<String> = texts
            .iter()
            .map(|text| match NamedContext::parse(text) {
                Ok(context) => {
                    let platform = context.platform.map(|platform| platform.to_string());
                    let (name, source) = (context.name, context.source);
                    format!("{text} => {name} {platform:?} {source:?}\n")
                }
                Err(error) => format!("{text} => {error}\n"),
            })
            .collect();
        expected.assert_eq(&lines.concat());
    }

    #[test]
    fn named_contexts_i1() {
        check_named(
            &[
                "src=../src",
                "alpine=docker-image://alpine:3.20",
                "alpine::linux/arm64=docker-image://alpine@sha256:abc",
                "base=container-image://localhost/base",
                "empty=docker-image://scratch",
                "img=oci-layout:///tmp/layout:tag",
                "tools=https://h/tools.tar.xz",
                "x=-",
                "x",
                "=dir",
                "x=",
                "x=docker-image://",
                "x::what/is/this/here=dir",
            ],
            expect![[r#"
                src=../src => src None Files(Local("../src"))
                alpine=docker-image://alpine:3.20 => alpine None Image("alpine:3.20")
                alpine::linux/arm64=docker-image://alpine@sha256:abc => alpine Some("linux/arm64") Image("alpine@sha256:abc")
                base=container-image://localhost/base => base None Image("localhost/base")
                empty=docker-image://scratch => empty None Image("scratch")
                img=oci-layout:///tmp/layout:tag => img None Layout("/tmp/layout:tag")
                tools=https://h/tools.tar.xz => tools None Files(Url(Url(https://h/tools.tar.xz)))
                x=- => build context `x=-` is standard input, which is for the main context only
                x => build context `x` is not of the form `NAME=VALUE`
                =dir => build context `=dir` has no name
                x= => build context `` is empty
                x=docker-image:// => build context `x=docker-image://` names no image
                x::what/is/this/here=dir => cannot understand the platform of a build context
            "#]],
        );
    }

    #[test]
    fn add_takes_paths_urls_and_repositories() {
        let kind = |text: &str| match AddSource::parse(text) {
            Ok(AddSource::Local) => "local",
            Ok(AddSource::Url(_)) => "url",
            Ok(AddSource::Git(_)) => "git",
            Err(_) => "error",
        };
        let check = |texts: &[&str], expected| {
            for text in texts {
                assert_eq!(kind(text), expected, "{text}");
            }
        };
        check(
            &[
                "f",
                "*.tar",
                "./git@h:x",
                "github.com/a/b",
                "ftp://h/x",
                "x.git",
            ],
            "local",
        );
        check(
            &["http://h/x.tar", "https://h/", "https://github.com/a/b"],
            "url",
        );
        check(
            &["https://h/x.git", "git@h:x", "ssh://h/x", "git://h/x#v1"],
            "git",
        );
        check(
            &["https://", "https://u:p@h/x", "https://h/x.git#-x"],
            "error",
        );
    }

    proptest! {
        #[test]
        fn paths_are_taken_verbatim(text in "(\\./|/)?[-a-z0-9._@:/#?= ]{1,30}") {
            match ContextSpec::parse(&text) {
                Ok(ContextSpec::Local(path)) => prop_assert!(path == text),
                Ok(ContextSpec::Stdin) => prop_assert!(text == "-"),
                _ => prop_assert!(!text.starts_with(['.', '/']) , "{}", text),
            }
        }
    }
}
