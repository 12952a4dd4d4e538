//! A real registry, Debian's `docker-registry`, for one test.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::{Error, Host};

/// A registry on 127.0.0.1 over plain HTTP; it ends with its value.
#[derive(Debug)]
pub struct Registry {
    server: Child,
    port: u16,
}

impl Registry {
    /// Starts an empty registry that keeps its blobs in the scratch directory
    /// of `host` and answers before this function returns.
    ///
    /// # Errors
    /// [`Error::Registry`] if it does not answer within five seconds.
    pub fn start(host: &Host) -> Result<Self, Error> {
        Self::start_with(host, "", "")
    }

    /// The same with more lines of YAML: in its `http` section, and beside it.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub fn start_with(host: &Host, http: &str, beside: &str) -> Result<Self, Error> {
        let port = free_port()?;
        let storage = host.scratch.dir("registry")?;
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '127.0.0.1:{port}'{http}}}\n{beside}\
             storage: {{filesystem: {{rootdirectory: '{}'}}, delete: {{enabled: true}}}}\n",
            storage.display()
        );
        let config = host.scratch.file("registry.yml", config)?;
        let server = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| Error::Program {
                program: "docker-registry".to_owned(),
                source,
            })?;
        let registry = Self { server, port };
        registry.wait_until_ready()?;
        Ok(registry)
    }

    /// `127.0.0.1:PORT`, the first part of an image reference.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn wait_until_ready(&self) -> Result<(), Error> {
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
        Err(Error::Registry { port: self.port })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A port that nobody listens on now.
fn free_port() -> Result<u16, Error> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::file("listen on", "127.0.0.1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Need, need};

    #[test]
    fn the_registry_answers_and_ends() {
        let Some(host) = need(&[Need::Tool("docker-registry")]) else {
            return;
        };
        let registry = Registry::start(&host).unwrap();
        let address = registry.address();
        assert!(TcpStream::connect(&address).is_ok());
        drop(registry);
        assert!(TcpStream::connect(&address).is_err());
    }
}
