//! Who is meant, by the files of an image with a trap in them.

use std::error::Error as _;

use super::{Accounts, Identity};

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
# comment:x:9:9::/:
broken:x:zz:1::/:
www:x:33:33:www:/var/www:/bin/false
1000:x:0:0:trap:/root:/bin/sh
ann:x:1000:100:Ann:/home/ann:/bin/sh
minus:x:4294967295:0::/:
homeless:x:44:44
";
const GROUP: &str = "\
root:x:0:
bin:x:1:root,ann
users:x:100:ann
www:x:33:
audio:x:29:bob,ann
audio2:x:29:ann
";

fn accounts() -> Accounts {
    Accounts {
        passwd: PASSWD.into(),
        group: GROUP.into(),
    }
}

fn told<T>(result: Result<T, super::UserError>, show: impl Fn(T) -> String) -> String {
    result.map_or_else(
        |error| format!("{error}{}", error.source().map(|_| "…").unwrap_or_default()),
        show,
    )
}

#[track_caller]
fn check(user: &str, expected: &str) {
    let show = |id: Identity| format!("{}:{} {:?} {}", id.uid, id.gid, id.groups, id.home);
    assert_eq!(told(accounts().identity(user), show), expected);
}

#[track_caller]
fn check_owner(owner: &str, expected: &str) {
    let show = |(uid, gid)| format!("{uid}:{gid}");
    assert_eq!(told(accounts().owner(owner), show), expected);
}

#[test]
fn no_user_is_root_with_its_groups() {
    check("", "0:0 [1] /root");
    check("root", "0:0 [1] /root");
}

#[test]
fn a_name_brings_its_groups_unless_one_is_given() {
    check("ann", "1000:100 [1, 29] /home/ann");
    check("ann:", "1000:100 [1, 29] /home/ann");
    check("ann:audio", "1000:29 [] /home/ann");
    check("ann:7", "1000:7 [] /home/ann");
    check(":www", "0:33 [] /root");
    check("homeless", "44:44 [] /");
}

#[test]
fn digits_are_never_a_name() {
    check("1000", "1000:100 [1, 29] /home/ann");
    check("33:33", "33:33 [] /var/www");
    check("5", "5:0 [] /");
    check("5:6", "5:6 [] /");
}

#[test]
fn numbers_that_are_no_ids_are_refused() {
    let wrong = |text: &str| format!("`{text}` is not a user number: they go from 0 to 4294967294");
    for text in [
        "4294967295",
        "4294967296",
        "-1",
        "+0",
        "99999999999999999999",
    ] {
        check(text, &wrong(text));
        check_owner(text, &wrong(text));
    }
    check("4294967294", "4294967294:0 [] /");
    check(
        "1:-1",
        "`-1` is not a group number: they go from 0 to 4294967294",
    );
}

#[test]
fn unknown_names_are_errors() {
    check("nobody", "no user named `nobody` in `/etc/passwd`");
    check("ann:nogroup", "no group named `nogroup` in `/etc/group`");
    check("broken", "no user named `broken` in `/etc/passwd`");
    check("minus", "no user named `minus` in `/etc/passwd`");
    check_owner("nobody", "no user named `nobody` in `/etc/passwd`");
    check_owner("1:x", "no group named `x` in `/etc/group`");
}

#[test]
fn owners_are_as_copy_wants_them() {
    check_owner("5", "5:5");
    check_owner("5:6", "5:6");
    check_owner("ann", "1000:100");
    check_owner("ann:www", "1000:33");
    assert_eq!(Accounts::default().owner("root:root").unwrap(), (0, 0));
    assert_eq!(Accounts::default().owner("root").unwrap(), (0, 0));
}
