//! Values of this crate against the programs that define them.

#![allow(clippy::unwrap_used, reason = "this crate is all tests")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use rbuild_oci::ModeChange;

/// What chmod(1) makes of `path` with `mode`.
fn chmod(text: &str, path: &Path, mode: u32) -> u32 {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let script = "umask 0; exec chmod -- \"$0\" \"$1\"";
    let status = Command::new("sh")
        .args(["-c", script, text])
        .arg(path)
        .status();
    assert!(status.unwrap().success(), "`{text}`");
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn clauses_do_what_chmod_does() {
    let texts = [
        "u=rwX,go=rX",
        "+x",
        "g=u",
        "o=g-w",
        "ug=rwx",
        "a-s",
        "u+s,g+s",
        "+t",
        "-t",
        "o+s",
        "u=o",
        "a=",
        "=",
        "go-rwx+r",
        "-x,+X",
        "a+X",
        "u=rwxs",
        "g=s",
        "=rX",
        "+",
        "u-u",
        "a+g",
        "ugo=rst",
    ];
    let modes = [
        0, 0o644, 0o755, 0o711, 0o4751, 0o2640, 0o7777, 0o1777, 0o6000,
    ];
    let temp = std::env::temp_dir().join(format!("rbuild-chmod-{}", std::process::id()));
    fs::create_dir_all(&temp).unwrap();
    let (file, dir) = (temp.join("file"), temp.join("dir"));
    fs::write(&file, "").unwrap();
    fs::create_dir_all(&dir).unwrap();
    for text in texts {
        let change: ModeChange = text.parse().unwrap();
        for mode in modes {
            for (path, is_dir) in [(&file, false), (&dir, true)] {
                let (ours, theirs) = (change.apply(mode, is_dir), chmod(text, path, mode));
                assert_eq!(
                    format!("{ours:o}"),
                    format!("{theirs:o}"),
                    "`{text}` of {mode:o}, directory: {is_dir}"
                );
            }
        }
    }
    fs::remove_dir_all(&temp).unwrap();
}
