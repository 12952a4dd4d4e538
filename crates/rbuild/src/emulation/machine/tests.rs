use std::path::{Path, PathBuf};

use rbuild_oci::Platform;

use super::{Architecture, Lack, Machine, Means, Registered};

/// As Debian's qemu-user-static registers it.
const ARM64: &str = "enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
";
const S390X: &str = "enabled
interpreter /usr/bin/qemu-s390x-static
flags: F
offset 0
magic 7f454c4602020100000000000000000000020016
mask ffffffffffffff00fffffffffffffffffffeffff
";
const JAR: &str = "enabled
interpreter /usr/bin/jexec
flags:
extension .jar
";

const INTERPRETER: &str = "/usr/libexec/qemu-binfmt/aarch64-binfmt-P";

/// This user has no emulator.
fn none(_: &Architecture) -> Option<PathBuf> {
    None
}

/// This user has one of ARM, 32 and 64 bits.
fn arm(its: &Architecture) -> Option<PathBuf> {
    its.name.starts_with("arm").then(|| path(its.qemu))
}

fn path(name: &str) -> PathBuf {
    Path::new("/bin").join(name)
}

fn machine<'a>(
    registered: Option<&[&str]>,
    program: &'a dyn Fn(&Architecture) -> Option<PathBuf>,
) -> Machine<'a> {
    let parsed = |texts: &[&str]| {
        texts
            .iter()
            .filter_map(|it| Registered::parse(it))
            .collect()
    };
    Machine {
        ours: Platform::new("linux", "amd64", None),
        registered: registered.map(parsed),
        program,
    }
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

#[track_caller]
fn check(wanted: &str, registered: &[&str], expected: &Result<Means, Lack>) {
    let found = machine(Some(registered), &none).means(&platform(wanted));
    assert_eq!(found, *expected, "{wanted} with {registered:?}");
}

#[test]
fn commands_of_this_machine_need_nothing() {
    for wanted in ["linux/amd64", "linux/amd64/v3", "linux/386"] {
        check(wanted, &[], &Ok(Means::Processor));
    }
}

#[test]
fn commands_of_others_need_an_interpreter_that_is_open() {
    check("linux/arm64", &[JAR, S390X, ARM64], &Ok(Means::Kernel));
    check("linux/s390x", &[JAR, S390X, ARM64], &Ok(Means::Kernel));
    let lacking = |name: &str| Err(Lack::Interpreter(Some(name.to_owned())));
    check(
        "linux/arm64",
        &[JAR, S390X],
        &lacking("qemu-aarch64-static"),
    );
    check("linux/arm/v7", &[ARM64], &lacking("qemu-arm-static"));
    check("linux/sparc64", &[ARM64], &Err(Lack::Interpreter(None)));
    check("windows/amd64", &[ARM64], &Err(Lack::System));
    let closed = ARM64.replace("POCF", "POC");
    check(
        "linux/arm64",
        &[&closed],
        &Err(Lack::Open(INTERPRETER.into())),
    );
    let disabled = ARM64.replace("enabled", "disabled");
    check(
        "linux/arm64",
        &[&disabled],
        &Err(Lack::Enabled(INTERPRETER.into())),
    );
    check("linux/arm64", &[&disabled, ARM64], &Ok(Means::Kernel));
}

#[test]
fn a_program_of_this_user_does_where_the_kernel_has_no_interpreter_of_use() {
    let closed = ARM64.replace("POCF", "POC");
    let disabled = ARM64.replace("enabled", "disabled");
    for registered in [
        None,
        Some(vec![]),
        Some(vec![&*closed]),
        Some(vec![&*disabled]),
    ] {
        let registered = registered.as_deref();
        let found = machine(registered, &arm).means(&platform("linux/arm64"));
        assert_eq!(found, Ok(Means::Program(path("aarch64"))), "{registered:?}");
    }
    let found = machine(Some(&[ARM64]), &arm).means(&platform("linux/arm64"));
    assert_eq!(found, Ok(Means::Kernel));
    let found = machine(None, &arm).means(&platform("linux/amd64"));
    assert_eq!(found, Ok(Means::Processor));
    for wanted in ["linux/arm", "linux/arm/v5", "linux/arm/v6", "linux/arm/v7"] {
        let found = machine(None, &arm).means(&platform(wanted));
        assert_eq!(found, Ok(Means::Program(path("arm"))), "{wanted}");
    }
}

#[test]
fn what_cannot_be_seen_is_not_relied_on() {
    let found = machine(None, &none).means(&platform("linux/arm64"));
    assert_eq!(found, Err(Lack::Sight("qemu-aarch64-static".to_owned())));
}

#[test]
fn what_the_host_has_is_registered_again_beside_the_user_s_own() {
    let disabled = S390X.replace("enabled", "disabled");
    let machine = machine(Some(&[JAR, &disabled, ARM64]), &arm);
    let wanted = ["linux/arm/v6", "linux/arm/v7", "linux/arm64", "linux/amd64"];
    let wanted = wanted.map(platform).into();
    let judged = machine.judged(&wanted);
    assert!(judged.lacks.is_empty(), "{judged:?}");
    let interpreters = machine.interpreters(&judged.programs);
    let shown = interpreters.iter().map(|it| {
        let machine = it.magic[18];
        format!("{} {} {machine}", it.program.display(), it.flags)
    });
    let shown: Vec<String> = shown.collect();
    assert_eq!(
        shown,
        [&*format!("{INTERPRETER} POCF 183"), "/bin/arm POC 40"]
    );
}

#[test]
fn every_lack_says_what_would_help_where_something_does() {
    let name = || "qemu-arm-static".to_owned();
    for (lack, text, hint) in [
        (
            Lack::Interpreter(Some(name())),
            "the kernel has no interpreter for them, and there is no static `qemu-arm-static`",
            "`qemu-user-static`",
        ),
        (
            Lack::Interpreter(None),
            "nobody has an interpreter for them",
            "$BUILDPLATFORM",
        ),
        (Lack::Sight(name()), "no interpreter is to be seen", "PATH"),
        (Lack::Enabled("/q".into()), "`/q` is disabled", "`echo 1`"),
        (
            Lack::Open("/q".into()),
            "`/q` is registered without the flag F",
            "PATH",
        ),
    ] {
        assert!(lack.to_string().contains(text), "{lack}");
        assert!(lack.hint().unwrap().contains(hint), "{lack:?}");
    }
    assert_eq!(Lack::System.hint(), None);
}
