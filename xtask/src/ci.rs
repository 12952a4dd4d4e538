//! Exactly what CI runs, in the order in which it fails fastest.

use crate::cargo::{cargo, release_binary};
use crate::error::{self, Error};
use crate::tidy;

/// Format, house rules, lints, all tests; nothing may be skipped.
pub fn run() -> Result<(), Error> {
    step("format", &["fmt", "--all", "--check"])?;
    println!("== house rules");
    tidy::run()?;
    step(
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    println!("== release binary");
    release_binary()?;
    // One run tells of all that fails.
    step("tests", &["test", "--workspace", "--no-fail-fast"])
}

fn step(name: &str, args: &[&str]) -> Result<(), Error> {
    println!("== {name}");
    error::run(cargo(args).env("RBUILD_TEST_REQUIRE", "1"))
}
