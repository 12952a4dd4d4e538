//! Files of a site about registries: logins, registries.conf, policy.json. They are read or
//! refused, and what is read has an answer for each image.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use rbuild_oci::{Location, Reference};
use rbuild_registry::{AuthFile, Registries, SignaturePolicy};

fuzz_target!(|text: &str| {
    let names: [Reference; 3] =
        ["a", "r.example:5000/b/c:1", "docker.io/library/d"].map(|name| name.parse().unwrap());
    if let Ok(logins) = AuthFile::parse(text) {
        for name in &names {
            let host = name.registry.as_deref().unwrap_or_default();
            let _ = logins.lookup(host, &name.repository);
        }
    }
    let mut registries = Registries::default();
    if registries.add(text).is_ok() {
        for name in &names {
            let _ = registries.pull_targets(name);
            let _ = registries.push_endpoint(name);
        }
    }
    if let Ok(policy) = SignaturePolicy::parse(text, Path::new("policy.json")) {
        for name in names {
            let _ = policy.demands(&Location::Registry(name.on_docker_hub()));
        }
    }
});
