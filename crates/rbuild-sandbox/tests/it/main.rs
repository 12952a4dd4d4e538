//! Commands in real sandboxes, as root and as ordinary users.
//!
//! Entering a user namespace takes a process with one thread, so each scenario has a process of
//! its own: this program started again, through setpriv(1) as the user in question. What the
//! host does not allow is skipped, with the reason, and fails under RBUILD_TEST_REQUIRE=1.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)] // a test without the test harness

mod confinement;
mod guard;
mod interpreters;
mod mounts;
mod races;
mod scenarios;
mod world;

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
};

const SCENARIO: &str = "RBUILD_SANDBOX_SCENARIO";
/// The directory that a scenario may fill.
const PLACE: &str = "RBUILD_SANDBOX_PLACE";

/// As whom scenarios run.
#[derive(Clone, Copy, Debug)]
enum User {
    /// Whoever runs the tests.
    Caller,
    /// An ordinary user with subordinate ids.
    Sub,
    /// That one, with NoNewPrivs set.
    Confined,
    /// An ordinary user without.
    NoSub,
}

impl User {
    /// `setpriv` and its options; `Err` is the reason why it cannot be done.
    fn command(self, program: &Path) -> Result<Command, String> {
        let id = match self {
            Self::Caller => return Ok(Command::new(program)),
            Self::Sub | Self::Confined => user_id("rbuild-sub").ok_or("no user rbuild-sub")?,
            // No account and no subordinate ids have such a number.
            Self::NoSub => 4_000_123,
        };
        if caller() != 0 {
            return Err("only root can become another user".to_owned());
        }
        let mut command = Command::new("setpriv");
        let ids = [format!("--reuid={id}"), format!("--regid={id}")];
        command.args(ids).arg("--clear-groups");
        if matches!(self, Self::Confined) {
            command.arg("--no-new-privs");
        }
        command.arg(program);
        Ok(command)
    }
}

fn caller() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}

fn user_id(name: &str) -> Option<u32> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.starts_with(&format!("{name}:")))?;
    line.split(':').nth(2)?.parse().ok()
}

/// Starts this program again; kept apart from the other scenarios by a directory of its own.
struct Stage {
    program: PathBuf,
    _temp: tempfile::TempDir,
    place: PathBuf,
}

impl Stage {
    fn new(user: User) -> Self {
        let temp = tempfile::Builder::new()
            .prefix("rbuild-it-")
            .tempdir()
            .unwrap();
        fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).unwrap();
        let program = temp.path().join("it");
        fs::copy(env::current_exe().unwrap(), &program).unwrap();
        let place = temp.path().join("place");
        fs::create_dir(&place).unwrap();
        let owner = match user {
            User::Caller => None,
            User::Sub | User::Confined => user_id("rbuild-sub"),
            User::NoSub => Some(4_000_123),
        };
        if let Some(owner) = owner.filter(|_| caller() == 0) {
            chown(&place, Some(owner), Some(owner)).unwrap();
        }
        Self {
            program,
            _temp: temp,
            place,
        }
    }

    fn command(&self, user: User, scenario: &str) -> Result<Command, String> {
        let mut command = user.command(&self.program)?;
        command.env(SCENARIO, scenario).env(PLACE, &self.place);
        Ok(command)
    }
}

fn main() -> ExitCode {
    if let Ok(name) = env::var(SCENARIO) {
        let place = PathBuf::from(env::var(PLACE).unwrap());
        scenarios::play(&name, &place);
        return ExitCode::SUCCESS;
    }
    let filter: Vec<String> = env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let wanted = |name: &str| filter.is_empty() || filter.iter().any(|part| name.contains(part));
    let mut failed = 0;
    for (name, user) in scenarios::cast() {
        let title = format!("{name} ({user:?})");
        if wanted(&title) {
            let outcome = Stage::new(user)
                .command(user, name)
                .map(|mut command| command.output().unwrap());
            failed += u32::from(!report(&title, outcome));
        }
    }
    for user in [User::Caller, User::Sub] {
        let title = format!("nothing_outlives_a_killed_builder ({user:?})");
        if wanted(&title) {
            failed += u32::from(!guard::nothing_outlives_a_killed_builder(&title, user));
        }
    }
    println!("{failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints the outcome; false if it is a failure.
fn report(title: &str, outcome: Result<Output, String>) -> bool {
    let output = match outcome {
        Ok(output) => output,
        Err(reason) => return skip(title, &reason),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if let Some(reason) = said.lines().find_map(|line| line.strip_prefix("SKIP ")) {
        return skip(title, reason);
    }
    let fine = output.status.success();
    println!("test {title} ... {}", if fine { "ok" } else { "FAILED" });
    print!("{said}");
    if !fine {
        println!("{}\n{errors}", output.status);
    }
    fine
}

fn skip(title: &str, reason: &str) -> bool {
    println!("SKIP {title}: {reason}");
    env::var("RBUILD_TEST_REQUIRE").as_deref() != Ok("1")
}
