//! The tests of faults and crowds once more, with everything tried that CI tries a sample of.
//!
//! Knows: which tests look at `RBUILD_TORTURE`. Takes about ten minutes.

use crate::bases;
use crate::cargo::{cargo, release_binary};
use crate::error::{Error, run as run_command};
use crate::packages::{FOR_DEMO, FOR_TESTS, ensure};
use crate::users;

/// Prepares what these tests need, and runs them.
pub fn run() -> Result<(), Error> {
    ensure(&[FOR_DEMO, FOR_TESTS])?;
    users::ensure_unprivileged()?;
    bases::ensure_all()?;
    release_binary()?;
    let tests = ["crash::", "faults::", "crowd::", "death::"];
    let mut command = cargo(&["test", "--package", "rbuild-tests", "--"]);
    run_command(
        command
            .args(tests)
            .env("RBUILD_TORTURE", "1")
            .env("RBUILD_TEST_REQUIRE", "1"),
    )
}
