//! What a registry answers, its headers above all, ends a request with a result or an error; bytes
//! that are handed out have the digest that was asked for.
//!
//! The input is what follows `HTTP/1.1 ` in each answer, separated by NUL; the last one is given to
//! all further requests. Everything goes to a server in this process, whatever host an answer names.
#![no_main]

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpListener,
    sync::{LazyLock, Mutex},
    thread,
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use rbuild_http::{Backoff, Client, Proxies, Security, Settings, Timeouts};
use rbuild_oci::{BlobDigest, Descriptor, Digest, Platform, Reference, media_type};
use rbuild_registry::{Access, CredentialSources, Repository, Scope};

/// The answers to come, the next one last.
static ANSWERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static SERVER: LazyLock<String> = LazyLock::new(serve);
static CLIENT: LazyLock<Client> = LazyLock::new(client);

const BLOB: &[u8] = b"0123456789";

fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it listens").to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 8192]);
            let mut answers = ANSWERS.lock().expect("no holder panics");
            let answer = match answers.len() {
                0 | 1 => answers.last().cloned(),
                _ => answers.pop(),
            };
            drop(answers);
            let _ = stream.write_all(&[b"HTTP/1.1 ", &answer.unwrap_or_default()[..]].concat());
        }
    });
    address
}

fn client() -> Client {
    let proxy = Some(format!("http://{}", *SERVER));
    Client::new(Settings {
        proxies: Proxies {
            http: proxy.clone(),
            https: proxy,
            no_proxy: String::new(),
        },
        timeouts: Timeouts {
            connect: Duration::from_millis(500),
            stall: Duration::from_millis(500),
        },
        backoff: Backoff {
            attempts: 1,
            first: Duration::ZERO,
        },
        ..Settings::default()
    })
}

fn repository(scope: Scope) -> Repository {
    let access = Access {
        scope,
        security: Security::Verified,
        credentials: CredentialSources::default(),
    };
    Repository::new(&CLIENT, &name(), access)
}

fn push() -> Scope {
    Scope::Push {
        mounts: BTreeMap::new(),
    }
}

fn name() -> Reference {
    format!("{}/a/b:c", *SERVER).parse().expect("it is a name")
}

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |&byte| byte == 0);
    let which = parts.next().unwrap_or_default().first().copied();
    let mut answers: Vec<Vec<u8>> = parts
        .next()
        .unwrap_or_default()
        .split(|&byte| byte == 0)
        .map(<[u8]>::to_vec)
        .collect();
    answers.reverse();
    *ANSWERS.lock().expect("no holder panics") = answers;
    let digest = BlobDigest(Digest::of(BLOB));
    let blob = Descriptor::new(media_type::OCI_LAYER, digest, BLOB.len() as u64);
    match which.unwrap_or_default() % 6 {
        0 => drop(repository(Scope::Pull).tags()),
        1 => drop(repository(Scope::Pull).resolve(&name(), &Platform::default())),
        2 => {
            let mut bytes = Vec::new();
            let repository = repository(Scope::Pull);
            if let Ok(mut reader) = repository.blob(&blob)
                && reader.read_to_end(&mut bytes).is_ok()
            {
                assert_eq!(bytes, BLOB);
            }
        }
        3 => {
            let mut bytes = Vec::new();
            if let Ok(mut part) = repository(Scope::Pull).blob_part(&blob, 3..6)
                && part.read_to_end(&mut bytes).is_ok()
            {
                assert_eq!(bytes.len(), 3);
            }
        }
        4 => {
            let text = r#"{"schemaVersion":2}"#;
            drop(repository(push()).push_manifest(Some("c"), media_type::OCI_MANIFEST, text));
        }
        _ => {
            let mut open = || Ok(Box::new(BLOB) as Box<dyn Read>);
            drop(repository(push()).push_blob(&blob, &mut open));
        }
    }
});
