//! A git source → a plain directory, through the `git` program.
//!
//! Knows: which of git's doors must be shut, because a repository is hostile.
//! Does not know: the environment; what git may see of it is in [`Git`].
//!
//! Invariant: git reads no configuration but ours, runs no hook, filter or helper, speaks
//! https, http, git and ssh only, and never asks anybody. Secrets reach it through its
//! environment, never through arguments, and no message shows them.
//!
//! Spec: dockerfile.md 1.11, X5 and X6; CVE-2022-39253, CVE-2024-32002, CVE-2025-48384.

use std::{
    ffi::OsString,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd},
    process::{Command, Stdio},
};

use rbuild_http::Proxies;
use rbuild_sys::Dir;

use super::{GitSource, GitTimes};
use crate::{
    error::{Error, Result},
    git::normalize::normalize,
};

/// Most bytes of git's messages that are kept.
const MAX_MESSAGE: usize = 16 << 10;
/// Where the fetched commit is in our repository.
const FETCHED: &str = "refs/rbuild/fetched";

/// The program, and what it may see of this machine.
#[derive(Clone, Debug)]
pub struct Git {
    /// Name or path of the program.
    pub program: OsString,
    /// `PATH`, for git itself and for ssh.
    pub search_path: OsString,
    /// Socket of the ssh agent whose keys may be used; `None`: ssh has no keys at all.
    pub ssh_agent: Option<OsString>,
    /// File with the keys of known hosts; `None`: only the site's, `/etc/ssh/ssh_known_hosts`.
    pub known_hosts: Option<String>,
    /// The site's proxies, for http.
    pub proxies: Proxies,
}

impl Default for Git {
    /// `git` where distributions install it, without keys and proxies.
    fn default() -> Self {
        Self {
            program: "git".into(),
            search_path: "/usr/local/bin:/usr/bin:/bin".into(),
            ssh_agent: None,
            known_hosts: None,
            proxies: Proxies::default(),
        }
    }
}

/// What is asked of one checkout besides its source.
#[derive(Clone, Copy, Debug, Default)]
pub struct GitRequest<'a> {
    /// `--keep-git-dir`, if the source does not say it; the repository's own `.git` only.
    pub git_dir: GitDir,
    /// `--checksum`: the commit, or its first digits (C26).
    pub checksum: Option<&'a str>,
    /// `Authorization` for the origin of the source's URL, as `Basic …` or `Bearer …` (X6).
    pub authorization: Option<&'a str>,
}

/// What becomes of the repository itself after the checkout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GitDir {
    /// Only the files stay.
    #[default]
    Removed,
    /// `.git` stays.
    Kept,
}

/// What was checked out.
#[derive(Debug)]
pub struct Checkout {
    /// The commit, all of its digits: what a cache key needs to know (1.15).
    pub commit: String,
    /// The files: the directory that was given, or the source's directory in it.
    pub tree: Dir,
}

impl Git {
    /// Checks out `source` into the empty directory `into`: files 0644 or 0755, directories 0755,
    /// the commit verified before anything is written.
    ///
    /// # Errors
    /// [`Error::GitProgram`] and [`Error::Git`] if git cannot be started or says no,
    /// [`Error::GitCommit`] if it is another commit, [`Error::GitDirectory`] if the source's
    /// directory is not there. `into` then holds anything.
    pub fn fetch(
        &self,
        source: &GitSource,
        request: &GitRequest<'_>,
        into: &Dir,
    ) -> Result<Checkout> {
        let run = Run {
            git: self,
            source,
            authorization: authorization(source, request),
            into,
        };
        run.git(
            "create a repository for",
            &["init", "--quiet", "--template="],
        )?;
        run.git("remember", &["remote", "add", "--", "origin", source.url()])?;
        let commit = run.fetch()?;
        for expected in [source.commit.as_deref(), request.checksum]
            .into_iter()
            .flatten()
        {
            if !commit.starts_with(&expected.to_ascii_lowercase()) {
                return Err(Error::GitCommit {
                    url: source.url().to_owned(),
                    expected: expected.to_owned(),
                    found: commit,
                });
            }
        }
        run.git(
            "check out",
            &["checkout", "--quiet", "--force", "--detach", &commit, "--"],
        )?;
        if source.submodules {
            run.submodules()?;
        }
        let seconds = match source.times {
            GitTimes::Commit => Some(run.commit_time(&commit)?),
            GitTimes::Checkout => None,
        };
        let keep = match source.keep_git_dir {
            Some(true) => GitDir::Kept,
            Some(false) => GitDir::Removed,
            None => request.git_dir,
        };
        normalize(into, keep, seconds)?;
        run.open(commit)
    }
}

/// One checkout.
struct Run<'a> {
    git: &'a Git,
    source: &'a GitSource,
    authorization: Option<String>,
    into: &'a Dir,
}

impl Run<'_> {
    /// Fetches what the source names and returns its commit.
    fn fetch(&self) -> Result<String> {
        let wanted = match (&self.source.reference, &self.source.commit) {
            (_, Some(commit)) if self.source.fetch_by_commit => commit.clone(),
            (Some(reference), _) => reference.full(),
            (None, Some(commit)) => commit.clone(),
            (None, None) => "HEAD".to_owned(),
        };
        let refspec = format!("+{wanted}:{FETCHED}");
        // A shallow fetch is cheap, but servers of plain files cannot do it, and a commit that
        // no reference leads to directly is not given out by all.
        let first = self.fetch_refs(&["--depth=1"], &[&refspec]);
        let whole = "+refs/heads/*:refs/rbuild/heads/*";
        let is_commit = wanted.len() >= 4 && wanted.bytes().all(|b| b.is_ascii_hexdigit());
        let revision = match first {
            Ok(()) => FETCHED,
            Err(_) if self.fetch_refs(&[], &[&refspec]).is_ok() => FETCHED,
            Err(_)
                if is_commit
                    && self
                        .fetch_refs(&[], &[whole, "+refs/tags/*:refs/rbuild/tags/*"])
                        .is_ok() =>
            {
                &wanted
            }
            Err(error) => return Err(error),
        };
        let revision = format!("{revision}^{{commit}}");
        let arguments = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &revision,
        ];
        let commit = self.git("find the commit in", &arguments)?;
        Ok(commit.trim().to_owned())
    }

    fn fetch_refs(&self, options: &[&str], refspecs: &[&str]) -> Result<()> {
        let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--no-recurse-submodules"];
        arguments.extend(options);
        arguments.extend(["--", "origin"]);
        arguments.extend(refspecs);
        self.git("fetch", &arguments).map(drop)
    }

    fn submodules(&self) -> Result<()> {
        let update = ["submodule", "--quiet", "update", "--init", "--recursive"];
        let shallow = [&update[..], &["--depth=1"]].concat();
        let done = self.git("check out the submodules of", &shallow);
        if done.is_err() && self.git("check out the submodules of", &update).is_ok() {
            return Ok(());
        }
        done.map(drop)
    }

    /// When `commit` was made, in seconds since 1970.
    fn commit_time(&self, commit: &str) -> Result<i64> {
        let action = "read the time of the commit of";
        let arguments = [
            "show",
            "--no-patch",
            "--format=%ct",
            "--end-of-options",
            commit,
        ];
        let text = self.git(action, &arguments)?;
        text.trim().parse().map_err(|_| Error::Git {
            action,
            url: self.source.url().to_owned(),
            message: text,
        })
    }

    fn open(&self, commit: String) -> Result<Checkout> {
        let subdir = self.source.subdir.as_deref().unwrap_or_default();
        let tree = self.into.resolve_dir(subdir.as_bytes());
        let tree = tree.map_err(|source| Error::GitDirectory {
            url: self.source.url().to_owned(),
            directory: subdir.to_owned(),
            source,
        })?;
        Ok(Checkout { commit, tree })
    }

    /// Runs git with `arguments` in the directory and returns what it prints. `action` completes
    /// "cannot … the repository".
    fn git(&self, action: &'static str, arguments: &[&str]) -> Result<String> {
        let program = |source| Error::GitProgram {
            program: self.git.program.to_string_lossy().into_owned(),
            source,
        };
        let mut command = self.command();
        command.args(arguments);
        let mut child = command.spawn().map_err(program)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (out, err) = std::thread::scope(|scope| {
            let out = scope.spawn(|| out.map(start_of));
            let err = err.map(start_of);
            (out.join().ok().flatten(), err)
        });
        let status = child.wait().map_err(program)?;
        let text = |bytes: Option<Vec<u8>>| {
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        if status.success() {
            return Ok(text(out));
        }
        Err(Error::Git {
            action,
            url: self.source.url().to_owned(),
            message: self.without_secrets(text(err).trim()),
        })
    }

    fn command(&self) -> Command {
        let git = self.git;
        let mut command = Command::new(&git.program);
        command
            .current_dir(format!("/proc/self/fd/{}", self.into.as_fd().as_raw_fd()))
            .env_clear()
            .env("PATH", &git.search_path)
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "https:http:git:ssh")
            .env("GIT_SSH_VARIANT", "ssh")
            .env("GIT_SSH_COMMAND", ssh_command(git.known_hosts.as_deref()))
            .envs(git.ssh_agent.iter().map(|agent| ("SSH_AUTH_SOCK", agent)))
            .envs(git.proxies.http.iter().map(|proxy| ("http_proxy", proxy)))
            .envs(git.proxies.https.iter().map(|proxy| ("https_proxy", proxy)))
            .env("no_proxy", &git.proxies.no_proxy)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let configuration = self.configuration();
        command.env("GIT_CONFIG_COUNT", configuration.len().to_string());
        for (index, (key, value)) in configuration.iter().enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{index}"), key)
                .env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        rbuild_sys::end_with_parent(&mut command);
        command
    }

    /// The whole configuration, also for the gits that git starts for submodules.
    fn configuration(&self) -> Vec<(String, String)> {
        let fixed = [
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("core.attributesFile", "/dev/null"),
            ("core.autocrlf", "false"),
            ("core.protectHFS", "true"),
            ("core.protectNTFS", "true"),
            ("credential.helper", ""),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("http.followRedirects", "initial"),
            ("http.lowSpeedLimit", "1"),
            ("http.lowSpeedTime", "60"),
            ("init.defaultBranch", "main"),
            ("safe.directory", "*"),
            ("submodule.recurse", "false"),
        ];
        let fixed = fixed.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let origin = self.source.remote.origin.as_ref();
        let header = origin
            .zip(self.authorization.as_ref())
            .map(|(origin, value)| {
                let key = format!("http.{origin}.extraHeader");
                (key, format!("Authorization: {value}"))
            });
        fixed.into_iter().chain(header).collect()
    }

    fn without_secrets(&self, message: &str) -> String {
        match &self.authorization {
            Some(secret) => message.replace(secret.as_str(), "****"),
            None => message.to_owned(),
        }
    }
}

/// The header that the caller gave, or that of the URL's user.
fn authorization(source: &GitSource, request: &GitRequest<'_>) -> Option<String> {
    let user = || source.remote.user.as_deref().map(rbuild_http::basic);
    request.authorization.map(str::to_owned).or_else(user)
}

/// What git calls for `ssh`: never asks, and knows nothing of the user's own settings.
fn ssh_command(known_hosts: Option<&str>) -> String {
    let mut command = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes \
                       -o IdentityFile=none -o ForwardAgent=no -o PermitLocalCommand=no"
        .to_owned();
    if let Some(path) = known_hosts {
        let quoted = path.replace('\'', r"'\''");
        command += &format!(" -o 'UserKnownHostsFile=\"{quoted}\"'");
    }
    command
}

/// The first bytes of `output`; the rest is read too, so that the writer can go on.
fn start_of(mut output: impl Read) -> Vec<u8> {
    let mut start = Vec::new();
    // What cannot be read is missing in a message.
    let _ = output
        .by_ref()
        .take(MAX_MESSAGE as u64)
        .read_to_end(&mut start);
    let _ = io::copy(&mut output, &mut io::sink());
    start
}

#[cfg(test)]
mod tests;
