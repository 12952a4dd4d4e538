use rbuild_oci::{BlobDigest, Digest};

use super::{Key, Signed, accept, check, read_key};
use crate::signature_policy::Identity;

// Made with `openssl dgst -sha256 -sign` and `openssl pkeyutl -sign -rawin`.
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOXuWfYu7cmIBXvwKK4B6rVfTnVYq
al4FpDKYhhVKAY3QiqG23GTx5kj7iKzsgosrD72GyfvkjWJRnUuIPBV+/A==
-----END PUBLIC KEY-----
";
const OTHER: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/D1cvSkjnj3gB76myT743IwjWVzo
w8uUG8+iq/fiQUSjqcZDJUMXECb8nEYGL+SfQS0AW8PNPkH91BmPLIRdSQ==
-----END PUBLIC KEY-----
";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEApSKiUpQRmHKWjjY7kMYdjFgTE+n/MXBNH7Jarb5KB9g=
-----END PUBLIC KEY-----
";
const PAYLOAD: &str = r#"{"critical":{"identity":{"docker-reference":"registry.example/team/app"},"image":{"docker-manifest-digest":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"},"type":"cosign container image signature"},"optional":null}"#;
const BY_P256: &str = "MEUCIENPoMpNuYiaJSCr+oR4M0uA4wRD1pIz8aFILD4jkmqZAiEAlXy4/LpzPH4OLtCD3PBI7/K0o7IVTMPOvc/9Qejz04g=";
const BY_ED25519: &str =
    "iVM8NNNtRzPuueY3i2DBr5dxOgUb1itKWEbyCqDy1y1QBbQX1wRSMlq5u83Vrtyuy1c8GyVJpxgdjOaqTLF0Dw==";

/// What checking a payload with a key leads to.
fn checked(pem: &str, payload: &str, signature: &str) -> Result<(), String> {
    let key = read_key(&Key::Text(pem.into())).map_err(|error| error.to_string())?;
    check(&[key], payload.as_bytes(), Some(signature)).map(drop)
}

#[test]
fn a_signature_is_right_for_its_key_and_payload_only() {
    checked(P256, PAYLOAD, BY_P256).unwrap();
    checked(ED25519, PAYLOAD, BY_ED25519).unwrap();
    let by_another = Err("it is by another key".to_owned());
    assert_eq!(checked(OTHER, PAYLOAD, BY_P256), by_another);
    assert_eq!(checked(ED25519, PAYLOAD, BY_P256), by_another);
    let forged = PAYLOAD.replace("team", "evil");
    assert_eq!(checked(P256, &forged, BY_P256), by_another);
    assert!(checked(P256, PAYLOAD, "?").unwrap_err().contains("base64"));
    assert!(checked("x", PAYLOAD, BY_P256).unwrap_err().contains("PEM"));
}

#[test]
fn a_payload_is_about_one_manifest_of_one_name() {
    let key = read_key(&Key::Text(P256.into())).unwrap();
    let mut critical = check(&[key], PAYLOAD.as_bytes(), Some(BY_P256)).unwrap();
    let signed = Signed {
        keys: Vec::new(),
        identity: Identity::Repository,
    };
    let hello = BlobDigest(Digest::of(b"hello"));
    let app = "registry.example/team/app:1".parse().unwrap();
    let other = "registry.example/team/other:1".parse().unwrap();
    assert_eq!(accept(&critical, &hello, (&signed, &app)), Ok(()));
    let answer = accept(&critical, &BlobDigest(Digest::of(b"")), (&signed, &app));
    assert!(answer.unwrap_err().starts_with("it is for sha256:2cf24dba"));
    let answer = accept(&critical, &hello, (&signed, &other));
    assert_eq!(answer.unwrap_err(), "it is for `registry.example/team/app`");
    critical.kind = "atomic container signature".to_owned();
    assert!(accept(&critical, &hello, (&signed, &app)).is_err());
}
