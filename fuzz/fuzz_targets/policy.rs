//! A policy.json is read or refused, and what is read has an answer for each image.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use rbuild_oci::{Location, Reference};
use rbuild_registry::SignaturePolicy;

fuzz_target!(|text: &str| {
    let Ok(policy) = SignaturePolicy::parse(text, Path::new("policy.json")) else {
        return;
    };
    for name in ["a", "r.example:5000/b/c:1", "docker.io/library/d"] {
        let name: Reference = name.parse().expect("it is a name");
        let _ = policy.demands(&Location::Registry(name.on_docker_hub()));
    }
});
