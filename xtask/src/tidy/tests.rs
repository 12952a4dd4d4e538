//! Each rule on a small made-up repository.

use expect_test::{Expect, expect};

use super::code::code;
use super::{Repository, findings};

/// Checks a repository that is in order but for `files`.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &Expect) {
    let mut repository = Repository::new();
    let mut insert = |path: &str, text: &str| repository.insert(path.to_owned(), text.to_owned());
    insert(
        "Cargo.toml",
        "[workspace.dependencies]\nserde = \"1\"\nrbuild-oci = { path = \"x\" }\n",
    );
    insert(
        "docs/dependencies.md",
        "| name | why |\n|---|---|\n| `serde` | JSON |\n",
    );
    insert("docs/architecture.md", "`rbuild-oci`\n");
    insert(
        "crates/rbuild-oci/Cargo.toml",
        "[lints]\nworkspace = true\n",
    );
    insert("crates/rbuild-oci/src/lib.rs", "//! Words.\n");
    for (path, text) in files {
        insert(path, text);
    }
    let findings: String = findings(&repository)
        .iter()
        .map(|it| format!("{it}\n"))
        .collect();
    expected.assert_eq(&findings);
}

const OCI: &str = "crates/rbuild-oci/src/lib.rs";

#[test]
fn a_repository_in_order_has_no_findings() {
    check(&[], &expect![""]);
}

#[test]
fn a_dependency_goes_down_never_sideways() {
    let files = [
        (
            "crates/rbuild-plan/Cargo.toml",
            "[lints]\nworkspace = true\n[dependencies]\nrbuild-oci = {}\nrbuild-store = {}\n",
        ),
        ("docs/architecture.md", "`rbuild-oci` `rbuild-plan`"),
    ];
    check(
        &files,
        &expect![
            "crates/rbuild-plan/Cargo.toml: `rbuild-plan` (rank 1) must not depend on `rbuild-store`\n"
        ],
    );
}

#[test]
fn the_test_kit_is_for_tests() {
    let manifest = |section: &str| {
        format!("[lints]\nworkspace = true\n[{section}]\nrbuild-testkit.workspace = true\n")
    };
    check(
        &[(
            "crates/rbuild-oci/Cargo.toml",
            &manifest("dev-dependencies"),
        )],
        &expect![""],
    );
    check(
        &[("crates/rbuild-oci/Cargo.toml", &manifest("dependencies"))],
        &expect![
            "crates/rbuild-oci/Cargo.toml: `rbuild-oci` (rank 0) must not depend on `rbuild-testkit`\n"
        ],
    );
}

#[test]
fn a_crate_needs_a_rank_a_place_on_the_map_and_the_lints() {
    check(
        &[("crates/rbuild-core/Cargo.toml", "")],
        &expect![[r#"
            crates/rbuild-core/Cargo.toml: crate `rbuild-core` has no rank
            crates/rbuild-core/Cargo.toml: no `[lints] workspace = true`
            docs/architecture.md: crate `rbuild-core` is not named
        "#]],
    );
}

#[test]
fn the_map_names_no_crate_that_is_gone() {
    check(
        &[("docs/architecture.md", "`rbuild-oci` and rbuild-ghost.")],
        &expect!["docs/architecture.md: there is no crate `rbuild-ghost`\n"],
    );
}

#[test]
fn dependencies_and_their_rows_are_the_same_set() {
    check(
        &[("docs/dependencies.md", "| `tokio` | no |\n")],
        &expect![[r#"
            docs/dependencies.md: `tokio` is not a dependency
            docs/dependencies.md: no row for `serde`
        "#]],
    );
}

#[test]
fn a_pure_crate_does_not_reach_the_world() {
    let source = "//! x\nuse std::{fmt, fs::File, env::consts::ARCH};\n// std::net\n\
                  fn f() { std::process::exit(1) }\nuse std::time::{Duration, Instant};\n\
                  #[cfg(test)]\nmod tests { use std::fs; }\n";
    check(
        &[(OCI, source)],
        &expect![[r#"
            crates/rbuild-oci/src/lib.rs:2: a pure crate must not use `std::fs::File`
            crates/rbuild-oci/src/lib.rs:4: a pure crate must not use `std::process::exit`
            crates/rbuild-oci/src/lib.rs:5: a pure crate must not use `Instant`
        "#]],
    );
}

#[test]
fn unsafe_is_a_word_in_text_and_a_finding_in_code() {
    check(
        &[(
            OCI,
            "//! unsafe\nconst A: &str = \"unsafe\";\nunsafe fn f() {}\n",
        )],
        &expect!["crates/rbuild-oci/src/lib.rs:3: `unsafe` outside rbuild-sys\n"],
    );
}

#[test]
fn a_test_that_cannot_fail_is_no_test() {
    check(
        &[(OCI, "//! x\n#[ignore]\n#[should_panic(expected = \"x\")]\n")],
        &expect![[r##"
            crates/rbuild-oci/src/lib.rs:2: `#[ignore`: gate with `need`, assert with `assert!`
            crates/rbuild-oci/src/lib.rs:3: `#[should_panic`: gate with `need`, assert with `assert!`
        "##]],
    );
}

#[test]
fn a_file_is_one_noun_that_opens_with_its_purpose() {
    let long = format!("//! x\n{}", "\n".repeat(800));
    check(
        &[
            ("xtask/src/a/mod.rs", "fn f() {}"),
            ("xtask/src/util.rs", "//! x"),
            ("xtask/src/a/tests.rs", "use super::f;"),
            ("xtask/src/long.rs", &long),
        ],
        &expect![[r#"
            xtask/src/a/mod.rs: `mod.rs`: use `foo.rs` beside `foo/`
            xtask/src/a/mod.rs: does not open with `//!`: purpose, what it knows, what it must not know
            xtask/src/long.rs: 801 lines; the limit is 800
            xtask/src/util.rs: `util` is a drawer, not a noun
        "#]],
    );
}

#[test]
fn empty_names_are_found_where_they_are_defined() {
    check(
        &[(
            OCI,
            "//! x\npub struct LayerInfo;\nfn do_it(_: LayerInfo) {}\n",
        )],
        &expect![[r#"
            crates/rbuild-oci/src/lib.rs:2: the name `LayerInfo` says nothing
            crates/rbuild-oci/src/lib.rs:3: the name `do_it` says nothing
        "#]],
    );
}

#[test]
fn comments_and_literals_become_blanks() {
    let source = "a // b\n/* c /* d */ */ e \"f\\\"g\" r#\"h\"i\"# 'j' '\\'' &'k l";
    let expected = "a     \n                e                          &'k l";
    assert_eq!(code(source), expected);
}

#[test]
fn a_statement_has_a_case_or_a_reason() {
    let files = [
        (
            "tests/statements.txt",
            "# counted by hand\nC 5\nT 1\nC2 about others\nC3 has a case\nX1 is none\n",
        ),
        (
            "crates/rbuild-oci/tests/data/a.txt",
            "--- C1 C3 a title\nC4\n",
        ),
        (
            OCI,
            "//! Words, C5.\n#[cfg(test)]\nmod tests {\n    fn it_works_t1() {}\n}\n",
        ),
    ];
    check(
        &files,
        &expect![[r#"
            tests/statements.txt: `C3` has a case now, and a reason for none
            tests/statements.txt: `C4` has neither a case nor a reason
            tests/statements.txt: `C5` has neither a case nor a reason
            tests/statements.txt: there is no statement `X1`
        "#]],
    );
}

#[test]
fn an_advisory_has_tests_that_exist_or_a_reason() {
    let list =
        "# by hand\nCVE-1 it_works\nCVE-2 it_worked it_works\nCVE-3 - not here\nCVE-4\nCVE-1 - x\n";
    let files = [
        ("tests/advisories.txt", list),
        ("tests/e2e/a.rs", "//! A.\n#[test]\nfn it_works() {}\n"),
        ("crates/rbuild-oci/src/b.rs", "//! B.\nfn it_worked() {}\n"),
    ];
    check(
        &files,
        &expect![[r#"
            tests/advisories.txt:3: there is no test `it_worked`
            tests/advisories.txt:5: `CVE-4` has neither a test nor a reason
            tests/advisories.txt:6: `CVE-1` is there twice
        "#]],
    );
}
