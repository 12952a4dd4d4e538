//! Packages as a document of SPDX 2.3. Pure: same packages in, same text out.
//!
//! SPDX 2.3, chapters 6 (document), 7 (packages) and 11 (relationships); Package URLs as the
//! specification of purl has them for `deb` and `apk`.

use std::collections::BTreeSet;

use rbuild_oci::{Digest, ImageId};
use serde_json::{Value, json};

use super::{
    package::{Kind, Package},
    release::Release,
};
use crate::purl::escaped;

const NO_ASSERTION: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";

/// What the document is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// What the image is called; empty if it has no name.
    pub name: &'a str,
    /// The image.
    pub image: ImageId,
    /// When the image was made, in RFC 3339; the same image has the same document.
    pub created: &'a str,
}

/// The document that lists `packages`, which are sorted; of those with one URL the first.
pub(crate) fn document(subject: Subject<'_>, release: &Release, packages: &[Package]) -> Value {
    let name = match subject.name {
        "" => subject.image.to_string(),
        name => name.to_owned(),
    };
    let mut listed = vec![json!({
        "SPDXID": IMAGE,
        "name": name,
        "versionInfo": subject.image.to_string(),
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{ "algorithm": "SHA256", "checksumValue": subject.image.0.hex() }],
    })];
    let mut relationships = vec![related(DOCUMENT, "DESCRIBES", IMAGE)];
    let mut known = BTreeSet::new();
    for package in packages {
        let purl = purl(release, package);
        // Two databases may say different things of one package; what is listed is what it is.
        if !known.insert(purl.clone()) {
            continue;
        }
        // An identifier has letters, digits, dots and dashes only; names and versions have more.
        let id = format!(
            "SPDXRef-Package-{}",
            &Digest::of(purl.as_bytes()).hex()[..16]
        );
        relationships.push(related(IMAGE, "CONTAINS", &id));
        listed.push(entry(&id, &purl, package));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": name,
        "documentNamespace": format!("urn:rbuild:sbom:{}", subject.image),
        "creationInfo": {
            "created": subject.created,
            "creators": [concat!("Tool: rbuild-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": listed,
        "relationships": relationships,
    })
}

fn related(from: &str, how: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": how, "relatedSpdxElement": to })
}

fn entry(id: &str, purl: &str, package: &Package) -> Value {
    let license = package.license.as_deref().filter(|it| is_expression(it));
    let mut entry = json!({
        "SPDXID": id,
        "name": package.name,
        "versionInfo": package.version,
        "supplier": package.maintainer.as_deref().map_or(NO_ASSERTION.to_owned(), supplier),
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "licenseConcluded": NO_ASSERTION,
        "licenseDeclared": license.unwrap_or(NO_ASSERTION),
        "copyrightText": NO_ASSERTION,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl,
        }],
    });
    if let Some(homepage) = &package.homepage {
        entry["homepage"] = json!(homepage);
    }
    if let Some(source) = &package.source {
        entry["sourceInfo"] = json!(format!("built from source package: {source}"));
    }
    entry
}

/// `NAME <ADDRESS>` in SPDX's words.
fn supplier(maintainer: &str) -> String {
    match maintainer.split_once('<') {
        Some((name, address)) if !name.trim().is_empty() => {
            let address = address.trim_end_matches('>');
            format!("Organization: {} ({address})", name.trim())
        }
        _ => format!("Organization: {maintainer}"),
    }
}

/// Whether a licence may be said in an SPDX document as it is: one identifier, or several with
/// `AND`, `OR`, `WITH` and parentheses. Whether each is on SPDX's list is not looked up.
fn is_expression(text: &str) -> bool {
    let words = text.split(|it: char| it.is_whitespace() || "()".contains(it));
    let mut words = words.filter(|word| !word.is_empty()).peekable();
    let is_word = |word: &str| {
        let mut chars = word.chars();
        chars.all(|it| it.is_ascii_alphanumeric() || "-.+".contains(it))
    };
    let mut wants_identifier = true;
    if words.peek().is_none() {
        return false;
    }
    for word in words {
        let is_operator = matches!(word, "AND" | "OR" | "WITH");
        if is_operator == wants_identifier || !is_word(word) {
            return false;
        }
        wants_identifier = is_operator;
    }
    let opened = text.matches('(').count();
    !wants_identifier && opened == text.matches(')').count()
}

/// The package's URL, e.g. `pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12`.
fn purl(release: &Release, package: &Package) -> String {
    let (kind, usual) = match package.kind {
        Kind::Deb => ("deb", "debian"),
        Kind::Apk => ("apk", "alpine"),
    };
    let vendor = match release.id.as_str() {
        "" => usual,
        id => id,
    };
    let mut qualifiers = Vec::new();
    if !package.architecture.is_empty() {
        qualifiers.push(format!("arch={}", escaped(&package.architecture)));
    }
    if !release.version.is_empty() {
        let distro = format!("{vendor}-{}", release.version);
        qualifiers.push(format!("distro={}", escaped(&distro)));
    }
    let (vendor, name) = (escaped(vendor), escaped(&package.name));
    let version = escaped(&package.version);
    let mut purl = format!("pkg:{kind}/{vendor}/{name}@{version}");
    if !qualifiers.is_empty() {
        purl = format!("{purl}?{}", qualifiers.join("&"));
    }
    purl
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use rbuild_oci::{Digest, ImageId};

    use super::{Subject, document, is_expression, purl, supplier};
    use crate::sbom::{apk, dpkg, release::Release};

    fn release() -> Release {
        Release::parse(b"ID=debian\nVERSION_ID=\"12\"\n")
    }

    #[test]
    fn a_document_lists_the_image_and_what_it_contains() {
        let status = b"Package: libc6\nVersion: 2.36-9+deb12u1\nArchitecture: amd64\n\
            Source: glibc\nMaintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>\n\
            Homepage: https://www.gnu.org/software/libc/libc.html\n";
        let subject = Subject {
            name: "localhost/app:1",
            image: ImageId(Digest::of(b"")),
            created: "1970-01-01T00:00:00Z",
        };
        let document = document(subject, &release(), &dpkg::parse(status));
        expect![[r#"
            {
              "SPDXID": "SPDXRef-DOCUMENT",
              "creationInfo": {
                "created": "1970-01-01T00:00:00Z",
                "creators": [
                  "Tool: rbuild-0.1.0"
                ]
              },
              "dataLicense": "CC0-1.0",
              "documentNamespace": "urn:rbuild:sbom:sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
              "name": "localhost/app:1",
              "packages": [
                {
                  "SPDXID": "SPDXRef-Image",
                  "checksums": [
                    {
                      "algorithm": "SHA256",
                      "checksumValue": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                    }
                  ],
                  "downloadLocation": "NOASSERTION",
                  "filesAnalyzed": false,
                  "name": "localhost/app:1",
                  "primaryPackagePurpose": "CONTAINER",
                  "versionInfo": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                },
                {
                  "SPDXID": "SPDXRef-Package-8a322001409f2c74",
                  "copyrightText": "NOASSERTION",
                  "downloadLocation": "NOASSERTION",
                  "externalRefs": [
                    {
                      "referenceCategory": "PACKAGE-MANAGER",
                      "referenceLocator": "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12",
                      "referenceType": "purl"
                    }
                  ],
                  "filesAnalyzed": false,
                  "homepage": "https://www.gnu.org/software/libc/libc.html",
                  "licenseConcluded": "NOASSERTION",
                  "licenseDeclared": "NOASSERTION",
                  "name": "libc6",
                  "sourceInfo": "built from source package: glibc",
                  "supplier": "Organization: GNU Libc Maintainers (debian-glibc@lists.debian.org)",
                  "versionInfo": "2.36-9+deb12u1"
                }
              ],
              "relationships": [
                {
                  "relatedSpdxElement": "SPDXRef-Image",
                  "relationshipType": "DESCRIBES",
                  "spdxElementId": "SPDXRef-DOCUMENT"
                },
                {
                  "relatedSpdxElement": "SPDXRef-Package-8a322001409f2c74",
                  "relationshipType": "CONTAINS",
                  "spdxElementId": "SPDXRef-Image"
                }
              ],
              "spdxVersion": "SPDX-2.3"
            }"#]]
        .assert_eq(&format!("{document:#}"));
    }

    #[test]
    fn an_identifier_is_there_once_whatever_the_databases_say() {
        let status = b"Package: a\nVersion: 1\nMaintainer: x\n\n\
            Package: a\nVersion: 1\nMaintainer: y\n\nPackage: b\nVersion: 1\n";
        let subject = Subject {
            name: "",
            image: ImageId(Digest::of(b"")),
            created: "",
        };
        let document = document(subject, &release(), &dpkg::parse(status));
        let listed = document["packages"].as_array().unwrap().iter();
        let names: Vec<_> = listed.map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names[1..], ["a", "b"]);
        assert_eq!(document["relationships"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn licences_that_spdx_would_not_understand_are_not_declared() {
        for fine in [
            "MIT",
            "GPL-2.0-or-later AND (MIT OR Apache-2.0)",
            "GPL-2.0 WITH x",
        ] {
            assert!(is_expression(fine), "{fine}");
        }
        for wrong in [
            "",
            "custom:foo",
            "GPL v2",
            "AND MIT",
            "MIT AND",
            "(MIT",
            "a/b",
        ] {
            assert!(!is_expression(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_package_url_escapes_what_it_must() {
        let debian =
            dpkg::parse(b"Package: libstdc++6\nVersion: 1:12.2+a~b\nArchitecture: amd64\n");
        let expected = "pkg:deb/debian/libstdc%2B%2B6@1%3A12.2%2Ba~b?arch=amd64&distro=debian-12";
        assert_eq!(purl(&release(), &debian[0]), expected);
        let alpine = apk::parse(b"P:musl\nV:1\n");
        assert_eq!(
            purl(&Release::default(), &alpine[0]),
            "pkg:apk/alpine/musl@1"
        );
    }

    #[test]
    fn a_maintainer_is_a_supplier() {
        assert_eq!(supplier("A B <a@b>"), "Organization: A B (a@b)");
        assert_eq!(supplier("<a@b>"), "Organization: <a@b>");
    }
}
