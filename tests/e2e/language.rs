//! The language, where only a real build can tell.

use rbuild_testkit::Host;

use crate::surroundings::host;

/// Builds and returns what `/out` has.
#[track_caller]
fn out(host: &Host, dockerfile: &str, args: &[&str]) -> String {
    host.build(dockerfile, &[&["-t", "it"], args].concat())
        .success();
    host.run(&["run", "it", "cat", "/out"]).success().stdout
}

// P1
#[test]
fn a_containerfile_comes_before_a_dockerfile_and_a_file_is_also_found_in_the_context() {
    let Some(host) = host() else { return };
    let text = |name: &str| format!("FROM alpine\nRUN echo {name} > /out\n");
    for name in ["Containerfile", "Dockerfile", "dockerfile"] {
        host.scratch
            .file(&format!("one/{name}"), text(name))
            .unwrap();
    }
    for (args, expected) in [
        (&["one"][..], "Containerfile\n"),
        (&["-f", "dockerfile", "one"], "dockerfile\n"),
        (&["-f", "one/Dockerfile", "one"], "Dockerfile\n"),
    ] {
        host.run(&[&["bud", "-t", "it"], args].concat()).success();
        let said = host.run(&["run", "it", "cat", "/out"]).success();
        assert_eq!(said.stdout, expected);
    }
}

#[test]
fn variables_are_expanded_where_they_should_be() {
    let Some(host) = host() else { return };
    let dockerfile = "ARG BASE=alpine\nFROM ${BASE} as one\nARG A\nARG BASE\n\
                      ENV B=${A:-default} C=${A:+set}\n\
                      RUN echo \"$A|$B|$C|$BASE\" > /out\n";
    assert_eq!(out(&host, dockerfile, &[]), "|default||alpine\n");
    assert_eq!(
        out(&host, dockerfile, &["--build-arg", "A=a"]),
        "a|a|set|alpine\n"
    );
}

#[test]
fn a_stage_can_be_based_on_a_stage() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine AS Base\nENV A=inherited\nWORKDIR /w\nRUN echo 1 > one\n\
                      FROM base\nRUN echo $A $(cat one) $PWD > /out\n";
    assert_eq!(out(&host, dockerfile, &[]), "inherited 1 /w\n");
}

#[test]
fn the_exec_form_has_no_shell_and_shell_changes_the_other_form() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN [\"sh\", \"-c\", \"echo $HOME 'a b' > /out\"]\n\
                      SHELL [\"/bin/sh\", \"-ec\"]\nRUN false || true; echo second >> /out\n";
    assert_eq!(out(&host, dockerfile, &[]), "/root a b\nsecond\n");
}

#[test]
fn a_continued_line_may_have_comments_in_it() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN echo a \\\n  # a comment\n  b \\\n\n  c > /out\n";
    assert_eq!(out(&host, dockerfile, &[]), "a b c\n");
}

#[test]
fn a_target_ends_the_build_early() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine AS first\nRUN echo first > /out\nFROM first\nRUN false\n";
    assert_eq!(out(&host, dockerfile, &["--target", "first"]), "first\n");
    assert_eq!(out(&host, dockerfile, &["--target", "0"]), "first\n");
    host.build(dockerfile, &["--target", "frist"])
        .failure()
        .saying("frist");
}

#[test]
fn an_unreachable_stage_is_neither_run_nor_resolved() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM registry.invalid/no/such:image AS unused\nRUN false\n\
                      FROM alpine\nRUN echo built > /out\n";
    assert_eq!(out(&host, dockerfile, &[]), "built\n");
}

#[test]
fn scratch_is_empty() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/only", "x").unwrap();
    host.build("FROM scratch\nCOPY only /\n", &["-t", "small"])
        .success();
    host.build(
        "FROM alpine\nCOPY --from=small / /all\nRUN ls /all > /out\n",
        &["-t", "it"],
    )
    .success();
    assert_eq!(
        host.run(&["run", "it", "cat", "/out"]).success().stdout,
        "only\n"
    );
}

#[test]
fn an_oci_layout_is_a_base() {
    let Some(host) = host() else { return };
    let layout = host.push_to_layout("alpine");
    let dockerfile = format!("FROM oci:{}:it\nRUN echo x > /out\n", layout.display());
    assert_eq!(out(&host, &dockerfile, &[]), "x\n");
}
