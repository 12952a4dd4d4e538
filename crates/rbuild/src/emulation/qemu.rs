//! QEMU among this user's programs: its emulators of single programs, which need nothing else.
//!
//! Such a program is executed in trees of images, where it finds no libraries of its own.
//! Knows: their names. Does not know: what they are registered with.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use super::architecture::Architecture;

/// What QEMU expects: the first argument as it was (`P`; QEMU 6.0), and the program open (`O`), with
/// the rights of its setuid bits (`C`), so that `sudo` works as it does without emulation.
pub const FLAGS: &str = "POC";

/// Where programs are besides the directories of `PATH`.
const USUAL: [&str; 2] = ["/usr/bin", "/usr/local/bin"];

/// As much of a program as has its headers.
const HEADERS: u64 = 4096;

/// Where to look: the directories of `path`, then the usual ones.
pub fn directories(path: Option<&std::ffi::OsStr>) -> Vec<PathBuf> {
    let listed = path.into_iter().flat_map(std::env::split_paths);
    let all = listed.chain(USUAL.map(PathBuf::from));
    all.filter(|directory| directory.is_absolute()).collect()
}

/// The emulator of `wanted` in `directories`: the first that `is_static`.
pub fn emulator(
    wanted: &Architecture,
    directories: &[PathBuf],
    is_static: &dyn Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let names = names(wanted);
    let all = names
        .iter()
        .flat_map(|name| directories.iter().map(move |it| it.join(name)));
    all.into_iter().find(|path| is_static(path))
}

/// What the emulator of `wanted` is called: as Debian calls static ones, then as QEMU does.
pub fn names(wanted: &Architecture) -> [String; 2] {
    ["-static", ""].map(|end| format!("qemu-{}{end}", wanted.qemu))
}

/// Whether `path` is a static program for `ours`.
pub fn is_static(path: &Path, ours: &Architecture) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEADERS).read_to_end(&mut start));
    read.is_ok() && ours.is_static_program(&start)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Architecture, directories, emulator, is_static};

    /// The emulator of `wanted` where these files are static programs.
    #[track_caller]
    fn check(wanted: &str, present: &[&str], expected: Option<&str>) {
        let directories = directories(Some("/home/me/bin:relative::/opt/bin".as_ref()));
        let is_static = |path: &Path| present.iter().any(|it| Path::new(it) == path);
        let wanted = Architecture::named(wanted).unwrap();
        let found = emulator(wanted, &directories, &is_static);
        assert_eq!(found.as_deref(), expected.map(Path::new), "{present:?}");
    }

    #[test]
    fn debian_s_name_goes_before_qemu_s_and_path_before_the_usual_places() {
        check("arm64", &[], None);
        check("arm64", &["/usr/bin/qemu-arm-static"], None);
        let (first, usual) = ("/opt/bin/qemu-aarch64", "/usr/bin/qemu-aarch64-static");
        check("arm64", &[first], Some(first));
        check("arm64", &[first, usual], Some(usual));
        let mine = "/home/me/bin/qemu-aarch64-static";
        check("arm64", &[usual, mine], Some(mine));
        check("arm64", &["relative/qemu-aarch64"], None);
    }

    #[test]
    fn architectures_have_qemu_s_names() {
        for (wanted, name) in [
            ("386", "/usr/bin/qemu-i386"),
            ("amd64", "/usr/bin/qemu-x86_64"),
            ("arm", "/usr/bin/qemu-arm"),
            ("loong64", "/usr/bin/qemu-loongarch64"),
            ("mips64le", "/usr/bin/qemu-mips64el"),
            ("mipsle", "/usr/bin/qemu-mipsel"),
            ("ppc64le", "/usr/bin/qemu-ppc64le"),
            ("riscv64", "/usr/bin/qemu-riscv64"),
            ("s390x", "/usr/bin/qemu-s390x"),
        ] {
            check(wanted, &[name], Some(name));
        }
    }

    #[test]
    fn a_shell_of_this_machine_links_libraries_and_a_directory_is_no_program() {
        let ours = Architecture::named(&rbuild_oci::Platform::default().architecture).unwrap();
        assert!(!is_static(Path::new("/bin/sh"), ours));
        assert!(!is_static(Path::new("/"), ours));
        assert!(!is_static(Path::new("/no/such/file"), ours));
    }
}
