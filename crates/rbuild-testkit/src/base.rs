//! Where the base images of tests are: tar archives made by
//! `cargo xtask test` under `target/bases/`.

use std::path::PathBuf;

/// A base image that can be imported without a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Statically linked busybox with its applets; stands in for `alpine`.
    Busybox,
    /// Debian with a Go toolchain; stands in for `golang`.
    Golang,
}

impl Base {
    /// The archive of its root file system; it may not exist.
    pub fn archive(self) -> PathBuf {
        let name = match self {
            Self::Busybox => "busybox.tar",
            Self::Golang => "golang.tar",
        };
        target_dir().join("bases").join(name)
    }

    /// The name under which examples expect it.
    pub fn image(self) -> &'static str {
        match self {
            Self::Busybox => "alpine:latest",
            Self::Golang => "golang:latest",
        }
    }
}

/// Cargo's target directory: the one in which this very program was built.
///
/// # Panics
/// If this program was not built by cargo.
pub fn target_dir() -> PathBuf {
    let program = std::env::current_exe().expect("/proc/self/exe can be read");
    program
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .expect("cargo puts programs below a directory with a CACHEDIR.TAG")
        .to_owned()
}
