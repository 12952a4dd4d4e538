//! What the system lacks, and how to get it: apt or dnf, as root or through
//! sudo; else the exact line for somebody who may.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, run};
use crate::privilege::Privilege;

/// A program that a task runs, and the packages that bring it.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    program: &'static str,
    apt: &'static str,
    dnf: &'static str,
}

const fn tool(program: &'static str, apt: &'static str, dnf: &'static str) -> Tool {
    Tool { program, apt, dnf }
}

/// What `demo` runs.
pub const FOR_DEMO: &[Tool] = &[
    tool("newuidmap", "uidmap", "shadow-utils"),
    tool("unshare", "util-linux", "util-linux"),
    tool("busybox", "busybox-static", "busybox"),
    tool("mmdebstrap", "mmdebstrap", "mmdebstrap"),
];

/// What tests run besides.
pub const FOR_TESTS: &[Tool] = &[
    tool("skopeo", "skopeo", "skopeo"),
    tool("umoci", "umoci", "umoci"),
    tool("docker-registry", "docker-registry", "docker-distribution"),
    tool("htpasswd", "apache2-utils", "httpd-tools"),
    tool("openssl", "openssl", "openssl"),
    tool("pasta", "passt", "passt"),
    tool("ip", "iproute2", "iproute"),
    tool("faketime", "faketime", "libfaketime"),
    tool("podman", "podman", "podman"),
    tool("crun", "crun", "crun"),
    tool("buildah", "buildah", "buildah"),
    tool("git", "git", "git"),
    tool("strace", "strace", "strace"),
    tool("gcc", "gcc", "gcc"),
    tool("bzip2", "bzip2", "bzip2"),
    tool("xz", "xz-utils", "xz"),
    tool("zstd", "zstd", "zstd"),
];

/// The package managers we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Installer {
    Apt,
    Dnf,
}

impl Installer {
    fn find() -> Option<Self> {
        let candidates = [("apt-get", Self::Apt), ("dnf", Self::Dnf)];
        candidates
            .into_iter()
            .find(|(name, _)| path_of(name).is_some())
            .map(|(_, found)| found)
    }

    fn package(self, tool: &Tool) -> &'static str {
        match self {
            Self::Apt => tool.apt,
            Self::Dnf => tool.dnf,
        }
    }

    /// The program and its arguments up to the package names.
    fn install(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Apt => ("apt-get", &["install", "--yes", "--no-install-recommends"]),
            Self::Dnf => ("dnf", &["install", "--assumeyes"]),
        }
    }
}

/// Makes sure that every one of `tools` is installed.
pub fn ensure(tools: &[&[Tool]]) -> Result<(), Error> {
    let missing: Vec<&Tool> = tools
        .iter()
        .copied()
        .flatten()
        .filter(|tool| !present(tool))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let Some(installer) = Installer::find() else {
        let programs = missing
            .iter()
            .map(|tool| tool.program)
            .collect::<Vec<_>>()
            .join(" ");
        return Err(Error::NoInstaller { programs });
    };
    let packages: Vec<&str> = missing.iter().map(|tool| installer.package(tool)).collect();
    install(installer, &packages)
}

fn install(installer: Installer, packages: &[&str]) -> Result<(), Error> {
    let (program, args) = installer.install();
    let privilege = Privilege::probe();
    let Some(mut command) = privilege.command(program) else {
        let packages = packages.join(" ");
        let line = format!("sudo {program} {} {packages}", args.join(" "));
        return Err(Error::Packages { packages, line });
    };
    println!("installing {}", packages.join(" "));
    if installer == Installer::Apt
        && let Some(mut update) = privilege.command(program)
    {
        run(update.args(["update", "--quiet"]))?;
    }
    run(command.args(args).args(packages))
}

fn present(tool: &Tool) -> bool {
    match path_of(tool.program) {
        Some(path) if tool.program == "busybox" => is_static(&path),
        found => found.is_some(),
    }
}

/// Where a program is, looking also where only root's `PATH` leads.
pub fn path_of(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// Does this program run without the host's libraries?
fn is_static(program: &Path) -> bool {
    let output = Command::new("ldd").arg(program).output();
    output.is_ok_and(|output| !output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_links_libraries_and_every_host_has_it() {
        let shell = path_of("sh").unwrap();
        assert!(!is_static(&shell));
    }

    #[test]
    fn each_package_manager_has_its_own_names() {
        let names = |installer: Installer| installer.package(&FOR_DEMO[0]);
        assert_eq!(
            (names(Installer::Apt), names(Installer::Dnf)),
            ("uidmap", "shadow-utils")
        );
    }
}
