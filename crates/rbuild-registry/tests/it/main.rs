//! The client against registries: one that lies and breaks, and a real one.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "this crate is all tests"
)]

mod faults;
mod logins;
mod real;
mod referrers;
mod rows;
mod signatures;
mod tokens;

use std::{collections::BTreeMap, io::Read, time::Duration};

use rbuild_http::{Backoff, Client, Security, Settings, Timeouts};
use rbuild_oci::{BlobDigest, Descriptor, Digest, Platform, Reference, media_type};
use rbuild_registry::{Access, CredentialSources, Repository, Scope};
use rbuild_testkit::http::{Reply, Seen, Server};

fn reference(address: &str, rest: &str) -> Reference {
    format!("{address}/a/b{rest}").parse().unwrap()
}

fn repository(reference: &Reference, scope: Scope) -> Repository {
    repository_as(reference, scope, CredentialSources::default())
}

fn repository_as(
    reference: &Reference,
    scope: Scope,
    credentials: CredentialSources,
) -> Repository {
    let http = Client::new(Settings {
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(1),
        },
        backoff: Backoff {
            attempts: 3,
            first: Duration::from_millis(1),
        },
        ..Settings::default()
    });
    let access = Access {
        scope,
        security: Security::Verified,
        credentials,
    };
    Repository::new(&http, reference, access)
}

fn push_scope() -> Scope {
    Scope::Push {
        mounts: BTreeMap::new(),
    }
}

fn pull_from(server: &Server) -> Repository {
    repository(&reference(&server.address.to_string(), ""), Scope::Pull)
}

fn blob(bytes: &[u8]) -> Descriptor {
    let digest = BlobDigest(Digest::of(bytes));
    Descriptor::new(media_type::OCI_LAYER, digest, bytes.len() as u64)
}

fn manifest_of(config: &[u8], layer: &[u8]) -> String {
    let entry = |media_type: &str, blob: Descriptor| {
        let (digest, size) = (blob.digest, blob.size);
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
    };
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
        media_type::OCI_MANIFEST,
        entry(media_type::OCI_CONFIG, blob(config)),
        entry(media_type::OCI_LAYER, blob(layer)),
    )
}

fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

/// The error's text with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let text: Vec<String> = causes.map(ToString::to_string).collect();
    text.join(": ")
}

/// What reading `descriptor` from `server` leads to.
fn fetch(server: &Server, descriptor: &Descriptor) -> Result<Vec<u8>, String> {
    let repository = pull_from(server);
    let mut reader = repository.blob(descriptor).map_err(|error| chain(&error))?;
    let mut bytes = Vec::new();
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(chain(&error)),
    }
}

/// Whether this only asks which protocol the registry speaks.
fn is_probe(seen: &Seen) -> bool {
    seen.path == "/v2/"
}

fn fine() -> Reply {
    Reply::new(200, "{}")
}
