//! Text → [`GitSource`], or the rule that it breaks.

use rbuild_http::Url;

use super::{GitReference, GitSource, GitTimes, Remote, Shorthand};

/// What is wrong; never contains the text.
type Parsed<T> = Result<T, &'static str>;

/// Longest text, in bytes.
const MAX_SIZE: usize = 8 << 10;

pub(super) fn parse(text: &str, shorthand: Shorthand) -> Option<Parsed<GitSource>> {
    let (rest, fragment) = cut(text, '#');
    let (url, query) = cut(rest, '?');
    let remote = remote(url, shorthand)?;
    Some(remote.and_then(|remote| {
        if text.len() > MAX_SIZE {
            return Err("it is longer than 8 KiB");
        }
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err("it has spaces or control characters in it");
        }
        let mut source = GitSource {
            remote,
            reference: None,
            commit: None,
            subdir: None,
            keep_git_dir: None,
            submodules: true,
            times: GitTimes::default(),
            fetch_by_commit: false,
        };
        apply_query(&mut source, query.unwrap_or_default())?;
        apply_fragment(&mut source, fragment.unwrap_or_default())?;
        if source.fetch_by_commit && source.commit.is_none() {
            return Err("`fetch-by-commit` needs `commit`");
        }
        Ok(source)
    }))
}

/// `text` before the first `at`, and what follows it.
fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// `None` if `url` is no repository.
fn remote(url: &str, shorthand: Shorthand) -> Option<Parsed<Remote>> {
    match url.split_once("://") {
        Some(("http" | "https", rest)) if has_git_suffix(rest) => Some(http(url)),
        Some(("ssh" | "git", rest)) => Some(other(url, rest)),
        Some(_) => None,
        None if is_scp(url) => Some(scp(url)),
        None if shorthand == Shorthand::Accepted && url.starts_with("github.com/") => {
            Some(http(&format!("https://{url}")))
        }
        None => None,
    }
}

fn has_git_suffix(path: &str) -> bool {
    path.contains('/') && path.trim_end_matches('/').ends_with(".git")
}

/// Whether `url` is `user@host:path`. A path that starts with `./` or `/` is not.
fn is_scp(url: &str) -> bool {
    let Some((user, rest)) = url.split_once('@') else {
        return false;
    };
    let word = |text: &str, also: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    };
    rest.split_once(':')
        .is_some_and(|(host, _)| word(user, "-_.") && word(host, "-_."))
}

fn http(url: &str) -> Parsed<Remote> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
    let (authority, path) = cut(rest, '/');
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(decoded(user)?), host),
        None => (None, authority),
    };
    if host.starts_with('-') {
        return Err("a host does not start with `-`");
    }
    let url = format!("{scheme}://{host}/{}", path.unwrap_or_default());
    url.parse::<Url>().map_err(|_| "it is not a valid URL")?;
    let origin = format!("{scheme}://{host}/").parse();
    Ok(Remote {
        origin: Some(origin.map_err(|_| "it is not a valid URL")?),
        url,
        user,
    })
}

/// `ssh://` and `git://`, of which `rest` is all after that.
fn other(url: &str, rest: &str) -> Parsed<Remote> {
    let (authority, path) = cut(rest, '/');
    if path.is_none_or(str::is_empty) {
        return Err("it names no repository");
    }
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    if user.contains(':') {
        return Err("a password is given by a secret or an agent, not in the URL");
    }
    if !user.is_empty() && url.starts_with("git://") {
        return Err("`git://` has no users");
    }
    host_and_path(user, host, path.unwrap_or_default())?;
    Ok(Remote {
        url: url.to_owned(),
        origin: None,
        user: None,
    })
}

fn scp(url: &str) -> Parsed<Remote> {
    let (user, rest) = url.split_once('@').ok_or("it has no user")?;
    let (host, path) = rest.split_once(':').ok_or("it has no path")?;
    if path.is_empty() {
        return Err("it names no repository");
    }
    host_and_path(user, host, path)?;
    Ok(Remote {
        url: url.to_owned(),
        origin: None,
        user: None,
    })
}

/// Nothing that ssh or the remote's shell takes for an option, or for more than one word.
fn host_and_path(user: &str, host: &str, path: &str) -> Parsed<()> {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    if host.is_empty() || !host.chars().all(letter) {
        return Err("it has no valid host");
    }
    if [user, host, path].iter().any(|part| part.starts_with('-')) {
        return Err("a user, a host or a path does not start with `-`");
    }
    Ok(())
}

fn apply_query(source: &mut GitSource, query: &str) -> Parsed<()> {
    let mut seen = Vec::new();
    let mut any = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = cut(pair, '=');
        let key = if key == "checksum" { "commit" } else { key };
        let value = decoded(value.unwrap_or_default())?;
        if seen.contains(&key) {
            return Err("a key of its query is repeated");
        }
        match key {
            "ref" => any = Some(named(value)?),
            "branch" => source.reference = Some(GitReference::Branch(named(value)?)),
            "tag" => source.reference = Some(GitReference::Tag(named(value)?)),
            "commit" => source.commit = Some(commit(&value)?),
            "subdir" => source.subdir = subdir(&value)?,
            "keep-git-dir" => source.keep_git_dir = Some(boolean(&value)?),
            "submodules" => source.submodules = boolean(&value)?,
            "fetch-by-commit" => source.fetch_by_commit = boolean(&value)?,
            "mtime" => {
                source.times = match &value[..] {
                    "checkout" => GitTimes::Checkout,
                    "commit" => GitTimes::Commit,
                    _ => return Err("`mtime` is `checkout` or `commit`"),
                }
            }
            _ => {
                return Err(
                    "its query has a key other than `ref`, `tag`, `branch`, `commit`, \
                     `checksum`, `subdir`, `keep-git-dir`, `submodules`, `mtime` and \
                     `fetch-by-commit`",
                );
            }
        }
        seen.push(key);
    }
    if seen.contains(&"tag") && seen.contains(&"branch") {
        return Err("`tag` and `branch` cannot be combined");
    }
    match any {
        Some(_) if source.reference.is_some() => {
            Err("`ref` cannot be combined with `tag` or `branch`")
        }
        Some(name) => {
            source.reference = Some(GitReference::Any(name));
            Ok(())
        }
        None => Ok(()),
    }
}

/// `ref`, `ref:subdir` or `:subdir`.
fn apply_fragment(source: &mut GitSource, fragment: &str) -> Parsed<()> {
    let (name, dir) = cut(fragment, ':');
    if !name.is_empty() {
        let name = named(name.to_owned())?;
        let same = match &source.reference {
            Some(
                GitReference::Any(other) | GitReference::Branch(other) | GitReference::Tag(other),
            ) => *other == name,
            None => {
                source.reference = Some(GitReference::Any(name));
                true
            }
        };
        if !same {
            return Err("its query and its fragment name different references");
        }
    }
    let dir = subdir(dir.unwrap_or_default())?;
    match (&source.subdir, dir) {
        (Some(one), Some(other)) if *one != other => {
            Err("its query and its fragment name different directories")
        }
        (None, Some(dir)) => {
            source.subdir = Some(dir);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A reference by the rules of git-check-ref-format(1), as far as they keep us safe.
fn named(name: String) -> Parsed<String> {
    let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    if name.is_empty() || name.starts_with(['-', '+', '/']) || name.ends_with(['/', '.']) {
        return Err("it has no valid reference");
    }
    if name.contains(bad) || name.contains("..") || name.contains("@{") || name.contains("//") {
        return Err("it has no valid reference");
    }
    Ok(name)
}

fn commit(digits: &str) -> Parsed<String> {
    let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex || digits.len() > 64 {
        return Err("a commit is hexadecimal");
    }
    Ok(digits.to_ascii_lowercase())
}

/// A directory without empty parts; `None` for the root.
fn subdir(text: &str) -> Parsed<Option<String>> {
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("its directory leads out of the repository"),
            ".git" => return Err("its directory is `.git`"),
            part if part.contains('\0') => return Err("its directory has a NUL in it"),
            part => parts.push(part),
        }
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

/// As Go's `strconv.ParseBool` has it; a key without value is true.
fn boolean(text: &str) -> Parsed<bool> {
    match text {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("a switch in its query is `true` or `false`"),
    }
}

/// `text` without percent-encoding. RFC 3986, 2.1.
fn decoded(text: &str) -> Parsed<String> {
    rbuild_http::percent_decoded(text).ok_or("its percent-encoding is wrong")
}
