//! Where the base images of tests are: tar archives made by
//! `cargo xtask test` under `target/bases/`; beside them, what executes those for arm64.

use std::path::PathBuf;

/// A base image that can be imported without a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Statically linked busybox with its applets; stands in for `alpine`.
    Busybox,
    /// The same for arm64.
    BusyboxArm64,
    /// Debian with a Go toolchain; stands in for `golang`.
    Golang,
}

impl Base {
    /// The archive of its root file system; it may not exist.
    pub fn archive(self) -> PathBuf {
        let name = match self {
            Self::Busybox => "busybox.tar",
            Self::BusyboxArm64 => "busybox-arm64.tar",
            Self::Golang => "golang.tar",
        };
        target_dir().join("bases").join(name)
    }

    /// The name under which examples expect it.
    pub fn image(self) -> &'static str {
        match self {
            Self::Busybox => "alpine:latest",
            Self::BusyboxArm64 => "alpine-arm64:latest",
            Self::Golang => "golang:latest",
        }
    }

    /// What its programs are for; `None`: this machine.
    pub fn platform(self) -> Option<&'static str> {
        match self {
            Self::Busybox | Self::Golang => None,
            Self::BusyboxArm64 => Some("linux/arm64"),
        }
    }
}

/// A static QEMU for programs for arm64, which nobody has installed; it may not exist. It is the
/// only file in its directory.
pub fn emulator() -> PathBuf {
    target_dir().join("bases/qemu/qemu-aarch64-static")
}

/// Cargo's target directory: the one in which this very program was built.
///
/// # Panics
/// If this program was not built by cargo.
pub fn target_dir() -> PathBuf {
    let program = std::env::current_exe().expect("/proc/self/exe can be read");
    let holding = |name| program.ancestors().find(|dir| dir.join(name).exists());
    // Cargo tags only a directory that it has made itself; then the profile's is in it.
    holding("CACHEDIR.TAG")
        .or_else(|| holding(".fingerprint")?.parent())
        .expect("cargo keeps fingerprints where it puts programs")
        .to_owned()
}
