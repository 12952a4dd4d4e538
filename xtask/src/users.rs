//! The accounts of demo and tests: `rbuild-sub` has a subordinate id range,
//! `rbuild-nosub` has none. Only root can make them; without root the
//! current user takes the first one's place.

use nix::unistd::User;
use rbuild_testkit::Account;

use crate::error::{Error, run};
use crate::privilege::Privilege;

/// First id of the range that an account gets if `useradd` gave it none; far
/// above the ranges that distributions hand out by themselves.
const RANGE: &str = "1000000000-1000065535";

/// Makes sure that [`Account::unprivileged`] exists and has a range.
pub fn ensure_unprivileged() -> Result<Account, Error> {
    let privilege = Privilege::probe();
    if privilege == Privilege::Root {
        add(privilege, "rbuild-sub")?;
    }
    let account = Account::unprivileged()?;
    if account.has_range() {
        return Ok(account);
    }
    let args = [
        "--add-subuids",
        RANGE,
        "--add-subgids",
        RANGE,
        &account.name,
    ];
    let Some(mut usermod) = privilege.command("usermod") else {
        let line = format!("sudo usermod {}", args.join(" "));
        return Err(Error::Range {
            name: account.name,
            line,
        });
    };
    run(usermod.args(args))?;
    Ok(account)
}

/// Makes sure that [`Account::without_range`] exists and has no range; does
/// nothing where we may not add users.
pub fn ensure_without_range() -> Result<(), Error> {
    let privilege = Privilege::probe();
    add(privilege, "rbuild-nosub")?;
    for line in ranges_of("rbuild-nosub") {
        let Some(mut usermod) = privilege.command("usermod") else {
            return Ok(());
        };
        run(usermod.args([
            "--del-subuids",
            &line,
            "--del-subgids",
            &line,
            "rbuild-nosub",
        ]))?;
    }
    Ok(())
}

fn add(privilege: Privilege, name: &str) -> Result<(), Error> {
    if User::from_name(name).is_ok_and(|user| user.is_some()) {
        return Ok(());
    }
    let Some(mut useradd) = privilege.command("useradd") else {
        return Ok(());
    };
    println!("adding user {name}");
    run(useradd.args(["--create-home", "--shell", "/bin/sh", name]))
}

/// The ranges of a user in `/etc/subuid`, as `first-last`.
fn ranges_of(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string("/etc/subuid");
    ranges(&text.unwrap_or_default(), name)
}

fn ranges(subuid: &str, name: &str) -> Vec<String> {
    let range = |line: &str| {
        let (who, rest) = line.split_once(':')?;
        let (first, count) = rest.split_once(':')?;
        let (first, count): (u64, u64) = (first.parse().ok()?, count.trim().parse().ok()?);
        (who == name && count > 0).then(|| format!("{first}-{}", first + count - 1))
    };
    subuid.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_user_alone() {
        let text = "a:100000:65536\nb:1:2\nbroken\na:5:0\n";
        assert_eq!(ranges(text, "a"), ["100000-165535"]);
    }
}
