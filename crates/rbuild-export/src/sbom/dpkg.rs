//! Debian's database of packages: `var/lib/dpkg/status`, and the files of `status.d` that images
//! without a package manager have. Pure.
//!
//! deb-control(5), dpkg(1) "Package states".

use super::package::{Kind, Package, field, records};

/// The packages that `text` calls installed. A record that does not name a package and a version
/// is left out; one that says nothing of its state is of `status.d`, where all are installed.
pub(crate) fn parse(text: &[u8]) -> Vec<Package> {
    let installed = records(text).filter_map(|record| {
        let get = |key: &str| record.get(key.as_bytes()).copied().and_then(field);
        let status = get("Status");
        if status.is_some_and(|status| !status.ends_with(" installed")) {
            return None;
        }
        let name = get("Package")?;
        // `Source: NAME (VERSION)`: the version is another one than the package's.
        let source = get("Source").map(|source| match source.split_once(' ') {
            Some((source, _)) => source.to_owned(),
            None => source,
        });
        Some(Package {
            source: source.filter(|source| *source != name),
            name,
            version: get("Version")?,
            kind: Kind::Deb,
            architecture: get("Architecture").unwrap_or_default(),
            maintainer: get("Maintainer"),
            license: None,
            homepage: get("Homepage"),
        })
    });
    installed.collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    /// What is found, as `name version architecture source`.
    #[track_caller]
    fn check(text: &[u8], expected: &[&str]) {
        let found: Vec<String> = parse(text)
            .into_iter()
            .map(|it| {
                let source = it.source.unwrap_or_default();
                let line = [it.name, it.version, it.architecture, source].join(" ");
                line.trim_end().to_owned()
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_installed_is_listed_and_what_was_removed_is_not() {
        let status = b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\n\
            Version: 5.2.15-2+b2\nSource: bash (5.2.15-2)\nDescription: shell\n more: text\n .\n\n\
            Package: old\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n\n\
            Package: libc6\nStatus: hold ok installed\nSource: glibc\nVersion: 1:2.36\n";
        check(status, &["bash 5.2.15-2+b2 amd64", "libc6 1:2.36  glibc"]);
    }

    #[test]
    fn a_record_without_a_state_is_of_an_image_without_dpkg() {
        check(b"Package: tzdata\nVersion: 2024a\n", &["tzdata 2024a"]);
    }

    #[test]
    fn hostile_databases_are_read_as_far_as_they_make_sense() {
        check(b"", &[]);
        check(b"\n\n\n", &[]);
        check(b"Package: a\n\nVersion: 1\n", &[]);
        check(b"Package:\nVersion: 1\n", &[]);
        check(b"Package: a\x1b[2J\x00\nVersion: 1\r\n", &["a[2J 1"]);
        check(b"Package: \xff\xfe\nVersion: 1\n", &["\u{fffd}\u{fffd} 1"]);
        check(b"no colon\n: empty\n Package: x\nVersion: 1\n", &[]);
        check(b"Package: a\nPackage: b\nVersion: 1\n", &["a 1"]);
        let long = [&b"Package: a\nVersion: "[..], &[b'9'; 1 << 20]].concat();
        assert_eq!(parse(&long)[0].version.len(), 1023);
        check(&[0; 1 << 16], &[]);
        check(&b"x".repeat(1 << 20), &[]);
    }
}
