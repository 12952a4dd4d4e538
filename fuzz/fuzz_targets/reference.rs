//! Image references, platforms, digests and modes are read, printed, and read as the same;
//! what names a context, a repository or a source of ADD is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_context::{AddSource, ContextSpec, GitSource, NamedContext, Shorthand};
use rbuild_oci::{Digest, ModeChange, Name, Platform, Reference};
use std::fmt::{Debug, Display};
use std::str::FromStr;

/// What `text` is, if it is one; what is printed must be the same again.
fn round_trip<T: FromStr + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    let again: Option<T> = value.to_string().parse().ok();
    assert_eq!(again.as_ref(), Some(&value), "{text:?}");
    Some(value)
}

fuzz_target!(|text: &str| {
    if let Some(reference) = round_trip::<Reference>(text) {
        assert_eq!(reference.to_string(), text);
        let full = reference.on_docker_hub();
        assert_eq!(full.on_docker_hub(), full);
        let mut names = reference.local_names();
        names.push(reference.local_name());
        for name in names {
            let read = Name::parse(name.as_str());
            assert_eq!(read.as_ref(), Some(&name));
            assert_eq!(name.tag().is_none(), reference.digest.is_some());
            assert!(!name.repository().contains('@'));
        }
    }
    if let Some(platform) = round_trip::<Platform>(text) {
        assert!(platform.matches(&platform));
    }
    round_trip::<Digest>(text);
    if let Some(change) = round_trip::<ModeChange>(text) {
        assert!(change.apply(0o644, false) <= 0o7777);
        assert!(change.apply(0o7777, true) <= 0o7777);
    }
    for shorthand in [Shorthand::Accepted, Shorthand::Refused] {
        let _ = GitSource::parse(text, shorthand);
    }
    let _ = (
        AddSource::parse(text),
        ContextSpec::parse(text),
        NamedContext::parse(text),
    );
});
