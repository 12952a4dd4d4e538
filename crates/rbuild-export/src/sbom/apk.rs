//! Alpine's database of packages: `lib/apk/db/installed`. Pure.
//!
//! Alpine's wiki, "Apk spec": a letter, a colon, a value; files of packages follow in lines of
//! other letters.

use super::package::{Kind, Package, field, records};

/// The packages that `text` lists. A record that does not name a package and a version is left out.
pub(crate) fn parse(text: &[u8]) -> Vec<Package> {
    let installed = records(text).filter_map(|record| {
        let get = |key: u8| record.get(&[key][..]).copied().and_then(field);
        let name = get(b'P')?;
        Some(Package {
            source: get(b'o').filter(|origin| *origin != name),
            name,
            version: get(b'V')?,
            kind: Kind::Apk,
            architecture: get(b'A').unwrap_or_default(),
            maintainer: get(b'm'),
            license: get(b'L'),
            homepage: get(b'U'),
        })
    });
    installed.collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    /// What is found, as `name version architecture source license`.
    #[track_caller]
    fn check(text: &[u8], expected: &[&str]) {
        let found: Vec<String> = parse(text)
            .into_iter()
            .map(|it| {
                let source = it.source.unwrap_or_default();
                let license = it.license.unwrap_or_default();
                let line = [it.name, it.version, it.architecture, source, license].join(" ");
                line.trim_end().to_owned()
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn packages_are_listed_and_their_files_are_not() {
        let installed =
            b"C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:libc.so\n\
            a:0:0:755\n\nP:ssl_client\nV:1.36.1-r15\nA:x86_64\nL:GPL-2.0-only\no:busybox\n\n";
        let expected = [
            "musl 1.2.5-r0 x86_64  MIT",
            "ssl_client 1.36.1-r15 x86_64 busybox GPL-2.0-only",
        ];
        check(installed, &expected);
    }

    #[test]
    fn hostile_databases_are_read_as_far_as_they_make_sense() {
        check(b"", &[]);
        check(b"P:a\n\nV:1\n", &[]);
        check(b"P:\nV:1\n", &[]);
        check(b"P:a\nV:1", &["a 1"]);
        check(b"P:a\x07b\nV:\xff\n", &["ab \u{fffd}"]);
        check(&b"P:a\nV:1\n\n".repeat(3), &["a 1", "a 1", "a 1"]);
        check(&[0xff; 1 << 20], &[]);
    }
}
