//! Prepares this machine for every test, then runs what CI runs.

use crate::bases;
use crate::ci;
use crate::devices;
use crate::error::Error;
use crate::packages::{FOR_DEMO, FOR_TESTS, ensure};
use crate::users;

/// Installs, makes users and base images, then [`ci::run`].
pub fn run() -> Result<(), Error> {
    ensure(&[FOR_DEMO, FOR_TESTS])?;
    users::ensure_unprivileged()?;
    users::ensure_without_range()?;
    bases::ensure_all()?;
    devices::ensure_open()?;
    ci::run()
}
