//! Referrers: manifests that say of which other manifest they speak.
//!
//! A registry that keeps lists of them needs nothing but the manifest; for the others its client
//! keeps the list, under a tag made of the digest. OCI distribution-spec, "Pushing Manifests with
//! Subject" and "Referrers Tag Schema".

use rbuild_http::{Method, Request};
use rbuild_oci::{BlobDigest, Descriptor, media_type};
use serde_json::{Value, json};

use crate::{Error, Repository, Result};

/// No list is larger, in bytes: as for manifests.
const LIST_LIMIT: u64 = 4 << 20;

/// A manifest with a subject, which is in the repository already.
#[derive(Clone, Copy, Debug)]
pub struct Referrer<'a> {
    /// What it speaks of.
    pub subject: BlobDigest,
    /// The manifest.
    pub manifest: &'a Descriptor,
    /// Its `artifactType`.
    pub artifact_type: &'a str,
}

impl Repository {
    /// Makes sure that `referrer` is found by its subject.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the list under the tag is none; else as any request.
    pub fn refer(&self, referrer: Referrer<'_>) -> Result<()> {
        let object = format!("the referrers of {}", referrer.subject);
        let url = self.url(&format!("referrers/{}", referrer.subject))?;
        let response = self.send(&object, &mut || {
            Request::new(Method::Get, url.clone(), self.security())
        })?;
        match response.status {
            200 => Ok(()),
            _ => self.list_under_tag(referrer, &object),
        }
    }

    /// Adds `referrer` to the list that this registry does not keep by itself.
    fn list_under_tag(&self, referrer: Referrer<'_>, object: &str) -> Result<()> {
        let tag = tag(&referrer.subject);
        let url = self.url(&format!("manifests/{tag}"))?;
        let response = self.send(object, &mut || {
            let mut request = Request::new(Method::Get, url.clone(), self.security());
            let accept = media_type::OCI_INDEX.to_owned();
            request.headers.push(("accept", accept));
            request
        })?;
        let old = match response.status {
            404 => None,
            _ => {
                let response = self.expect(object, response, &[200])?;
                Some(self.read(response, object, LIST_LIMIT)?)
            }
        };
        let listed = listed(old.as_deref(), referrer).map_err(|why| Error::Malformed {
            what: self.what(object),
            why,
        })?;
        match listed {
            Some(list) => {
                let kind = media_type::OCI_INDEX;
                self.push_manifest(Some(&tag), kind, &list).map(drop)
            }
            None => Ok(()),
        }
    }
}

/// The tag of the list for `subject`.
fn tag(subject: &BlobDigest) -> String {
    subject.to_string().replace(':', "-")
}

/// The list `old` with `referrer` in it; `None` if it is in it already.
fn listed(
    old: Option<&[u8]>,
    referrer: Referrer<'_>,
) -> std::result::Result<Option<String>, String> {
    let empty = || json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
    let mut list: Value = match old {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|error| error.to_string())?,
        None => empty(),
    };
    let entries = list
        .get_mut("manifests")
        .and_then(Value::as_array_mut)
        .ok_or("it lists no manifests")?;
    let digest = referrer.manifest.digest.to_string();
    if entries
        .iter()
        .any(|entry| entry["digest"] == digest.as_str())
    {
        return Ok(None);
    }
    let mut entry = json!(referrer.manifest);
    entry["artifactType"] = referrer.artifact_type.into();
    entries.push(entry);
    Ok(Some(list.to_string()))
}

#[cfg(test)]
mod tests {
    use rbuild_oci::{BlobDigest, Descriptor, Digest, media_type};
    use serde_json::Value;

    use super::{Referrer, listed, tag};

    /// Adds the manifest `text` to `old`; the number of entries then.
    fn added(old: Option<&[u8]>, text: &[u8]) -> Result<Option<(usize, String)>, String> {
        let digest = BlobDigest(Digest::of(text));
        let manifest = Descriptor::new(media_type::OCI_MANIFEST, digest, 1);
        let referrer = Referrer {
            subject: BlobDigest(Digest::of(b"image")),
            manifest: &manifest,
            artifact_type: "a/b",
        };
        let count = |list: String| {
            let parsed: Value = serde_json::from_str(&list).unwrap();
            (parsed["manifests"].as_array().unwrap().len(), list)
        };
        listed(old, referrer).map(|list| list.map(count))
    }

    #[test]
    fn a_referrer_is_listed_once() {
        let (count, first) = added(None, b"one").unwrap().unwrap();
        assert_eq!(count, 1);
        assert!(first.contains(r#""artifactType":"a/b""#), "{first}");
        assert_eq!(added(Some(first.as_bytes()), b"one").unwrap(), None);
        let (count, _) = added(Some(first.as_bytes()), b"two").unwrap().unwrap();
        assert_eq!(count, 2);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "{}", "[]", r#"{"manifests":{}}"#] {
            assert!(added(Some(text.as_bytes()), b"one").is_err(), "{text}");
        }
    }

    #[test]
    fn the_tag_is_made_of_the_digest() {
        let hex = Digest::of(b"").hex();
        assert_eq!(tag(&BlobDigest(Digest::of(b""))), format!("sha256-{hex}"));
    }
}
