//! Push to and pull from Debian's `docker-registry`.

use std::{
    io::{self, Read},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::Duration,
};

use rbuild_registry::Scope;

use crate::{amd64, blob, manifest_of, push_scope, reference, repository};

/// A registry that ends with the test.
struct Registry {
    process: Child,
    address: String,
    _storage: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `None`, and a note, if it is not installed; a failure under `RBUILD_TEST_REQUIRE=1`.
fn registry() -> Option<Registry> {
    let storage = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let config = storage.path().join("config.yml");
    let root = storage.path().display();
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{address}'}}\nstorage: {{filesystem: {{rootdirectory: '{root}/data'}}}}\n"
    );
    std::fs::write(&config, text).unwrap();
    let started = Command::new("docker-registry")
        .arg("serve")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let process = match started {
        Ok(process) => process,
        Err(error) => {
            let required =
                std::env::var_os("RBUILD_TEST_REQUIRE").is_some_and(|value| value == "1");
            assert!(!required, "docker-registry: {error}");
            eprintln!("SKIP real registry: docker-registry: {error}");
            return None;
        }
    };
    let registry = Registry {
        process,
        address,
        _storage: storage,
    };
    for _ in 0..200 {
        if TcpStream::connect(&registry.address).is_ok() {
            return Some(registry);
        }
        sleep(Duration::from_millis(50));
    }
    unreachable!("docker-registry does not listen on {}", registry.address)
}

#[test]
fn what_was_pushed_is_pulled() {
    let Some(registry) = registry() else {
        return;
    };
    let (config, layer) = (b"{\"os\":\"linux\"}", vec![7; 3 << 20]);
    let text = manifest_of(config, &layer);
    let target = reference(&registry.address, ":v1");
    let push = repository(&target, push_scope());
    assert!(!push.has_blob(&blob(&layer).digest).unwrap());
    let mut opened = 0;
    for _ in 0..2 {
        push.push_blob(&blob(&layer), &mut || {
            opened += 1;
            Ok(Box::new(io::Cursor::new(layer.clone())))
        })
        .unwrap();
    }
    assert_eq!(opened, 1, "the second push finds the blob");
    push.push_blob(&blob(config), &mut || Ok(Box::new(&config[..])))
        .unwrap();
    let digest = push
        .push_manifest(Some("v1"), rbuild_oci::media_type::OCI_MANIFEST, &text)
        .unwrap();

    let pull = repository(&target, Scope::Pull);
    let manifest = pull.resolve(&target, &amd64()).unwrap().manifest;
    assert_eq!(
        (&manifest.text, manifest.descriptor.digest),
        (&text, digest)
    );
    assert_eq!(pull.config(&manifest).unwrap().as_bytes(), config);
    let mut bytes = Vec::new();
    let mut reader = pull.blob(&manifest.layers[0]).unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    assert!(bytes == layer);

    let other = format!("{}/c/d:v1", registry.address).parse().unwrap();
    let mounts = [(blob(&layer).digest, pull.name().to_owned())].into();
    let other = repository(&other, Scope::Push { mounts });
    other
        .push_blob(&blob(&layer), &mut || unreachable!("it is mounted"))
        .unwrap();
    assert!(other.has_blob(&blob(&layer).digest).unwrap());
}

#[test]
fn wrong_bytes_are_not_accepted() {
    let Some(registry) = registry() else {
        return;
    };
    let target = reference(&registry.address, ":v1");
    let push = repository(&target, push_scope());
    let mut announced = blob(b"right");
    let answer = push.push_blob(&announced, &mut || Ok(Box::new(&b"wrong"[..])));
    assert!(answer.is_err());
    announced.digest = blob(b"absent").digest;
    assert!(push.blob(&announced).unwrap_err().is_absent());
}

/// A way to `address` that loses one connection, after `limit` bytes from the client; returns the
/// way's own address.
fn cut_once(address: &str, limit: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let (address, whole) = (address.to_owned(), AtomicBool::new(true));
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&address).unwrap();
            let (mut back, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || io::copy(&mut back, &mut to));
            // The first connection that sends more than its headers.
            let mut request = (&client).take(limit);
            let sent = io::copy(&mut request, &mut &server).unwrap_or_default();
            if sent == limit && whole.swap(false, Ordering::SeqCst) {
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
                continue;
            }
            std::thread::spawn(move || io::copy(&mut &client, &mut &server));
        }
    });
    own
}

#[test]
fn an_upload_that_is_cut_succeeds_fault_25() {
    let Some(registry) = registry() else {
        return;
    };
    let layer = vec![7; 3 << 20];
    let target = reference(&cut_once(&registry.address, 1 << 20), ":v1");
    let push = repository(&target, push_scope());
    let mut opened = 0;
    push.push_blob(&blob(&layer), &mut || {
        opened += 1;
        Ok(Box::new(io::Cursor::new(layer.clone())))
    })
    .unwrap();
    assert_eq!(opened, 2);
    assert!(push.has_blob(&blob(&layer).digest).unwrap());
}
