//! Gating is loud: a test that cannot run here says `SKIP` and why, and fails
//! when `RBUILD_TEST_REQUIRE=1` (CI) says that nothing may be skipped.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use nix::unistd::Uid;

use crate::{Account, Base, Host, Output, emulator, rbuild_binary};

/// What a test needs from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The release binary of rbuild (or the one that `RBUILD_BIN` names).
    Rbuild,
    /// An unprivileged account that has a subordinate id range and may make
    /// a user namespace with it.
    Range,
    /// An account without a range, `rbuild-nosub`.
    NoRange,
    /// Root, or `sudo` without a password.
    Root,
    /// The archive of a base image.
    Base(Base),
    /// That commands for arm64 can be executed, by [`emulator`].
    Emulation,
    /// A device that everybody may open for reading and writing.
    Device(&'static str),
    /// A program in `PATH`.
    Tool(&'static str),
}

/// Returns a host for a test with these needs, or `None` if one is not met;
/// the test then returns at once.
///
/// The account of the host is [`Account::unprivileged`].
///
/// # Panics
/// If a need is not met and `RBUILD_TEST_REQUIRE=1`, or if the scratch
/// directory cannot be made.
#[track_caller]
pub fn need(needs: &[Need]) -> Option<Host> {
    if let Some(why) = needs.iter().find_map(|need| need.unmet()) {
        skip(&why);
        return None;
    }
    let account = Account::unprivileged().expect("the account was probed or is our own");
    Some(Host::new(account).expect("/var/tmp is writable"))
}

/// Says that this test cannot run here, and why; the test then returns.
///
/// # Panics
/// If `RBUILD_TEST_REQUIRE=1`.
#[track_caller]
#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
pub fn skip(why: &str) {
    let required = std::env::var_os("RBUILD_TEST_REQUIRE").is_some_and(|value| value == "1");
    assert!(!required, "cannot run here: {why}");
    eprintln!(
        "SKIP {}: {why}",
        std::thread::current().name().unwrap_or("a test")
    );
}

impl Need {
    /// Why this host does not meet it; `None` if it does.
    fn unmet(self) -> Option<String> {
        match self {
            Self::Rbuild => rbuild_binary().err().map(|error| error.to_string()),
            Self::Range => range_unmet(),
            Self::NoRange => match Account::without_range() {
                Err(error) => Some(error.to_string()),
                Ok(account) if account.has_range() => Some(format!(
                    "user `{}` has a range in /etc/subuid",
                    account.name
                )),
                Ok(_) => Self::Root.unmet(),
            },
            Self::Root => root_unmet(),
            Self::Base(base) => {
                let archive = base.archive();
                let why = || {
                    format!(
                        "there is no {} (`cargo xtask test` makes it)",
                        archive.display()
                    )
                };
                (!archive.is_file()).then(why)
            }
            Self::Emulation => emulation_unmet(),
            Self::Device(path) => device_unmet(path),
            Self::Tool(name) => {
                let found = Command::new("sh")
                    .args(["-c", &format!("command -v {name}")])
                    .output();
                let found = found.is_ok_and(|output| output.status.success());
                (!found).then(|| format!("`{name}` is not installed"))
            }
        }
    }
}

fn emulation_unmet() -> Option<String> {
    let program = emulator();
    if !program.is_file() {
        let program = program.display();
        return Some(format!(
            "there is no {program} (`cargo xtask test` gets it)"
        ));
    }
    let account = match Account::unprivileged() {
        Ok(account) => account,
        Err(error) => return Some(error.to_string()),
    };
    if account.is_behind_sudo() {
        return Some("`sudo` does not hand on the PATH with the emulator".to_owned());
    }
    let mut unshare = account.command("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "--"]);
    let mount = [
        "mount",
        "-t",
        "binfmt_misc",
        "none",
        "/proc/sys/fs/binfmt_misc",
    ];
    match Output::of_success(unshare.args(mount)) {
        Ok(_) => None,
        Err(error) => Some(format!(
            "a user namespace has no interpreters of its own before Linux 6.7: {error}"
        )),
    }
}

fn device_unmet(path: &str) -> Option<String> {
    let open_to_all = fs::metadata(path).is_ok_and(|found| found.mode() & 0o666 == 0o666);
    let why = || format!("not everybody may open `{path}`; try: chmod 666 {path}");
    (!open_to_all).then(why)
}

fn range_unmet() -> Option<String> {
    let account = match Account::unprivileged() {
        Ok(account) => account,
        Err(error) => return Some(error.to_string()),
    };
    if !account.has_range() {
        return Some(format!(
            "user `{}` has no range in /etc/subuid",
            account.name
        ));
    }
    match Output::of_success(&mut account.inside("true")) {
        Ok(_) => None,
        Err(error) => Some(format!(
            "no user namespaces for `{}`: {error}",
            account.name
        )),
    }
}

fn root_unmet() -> Option<String> {
    if Uid::effective().is_root() {
        return None;
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).output();
    let why = || "not root, and `sudo -n` asks for a password".to_owned();
    (!sudo.is_ok_and(|output| output.status.success())).then(why)
}
