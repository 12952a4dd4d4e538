//! Devices that tests open as an unprivileged user: open to all on distributions, and closed on
//! some machines that were made for containers.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::error::{Error, run};
use crate::privilege::Privilege;

/// `pasta` makes a network device of it.
const OPEN_TO_ALL: [&str; 1] = ["/dev/net/tun"];

/// Gives the devices the mode that udev gives them; does nothing where they are missing, or where
/// we may not.
pub fn ensure_open() -> Result<(), Error> {
    for path in OPEN_TO_ALL {
        let closed =
            fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o666 != 0o666);
        if closed && let Some(mut chmod) = Privilege::probe().command("chmod") {
            println!("opening {path} to all, as distributions have it");
            run(chmod.args(["0666", path]))?;
        }
    }
    Ok(())
}
