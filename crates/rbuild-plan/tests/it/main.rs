//! Planning, from Dockerfile text: each file of `tests/data` has cases of this form.
//!
//! ```text
//! --- V1 what the case says
//! #@ build-arg A=1
//! #@ image alpine env A=1
//! FROM alpine
//! ===
//! lines of the result that must be there in this order
//! ! a line that must not be there at all
//! !! a line that must not come after those above
//! ```
//!
//! Other `#@` lines: `target NAME` (several times), `extent all`, `from IMAGE`, `label K=V`, `platform OS/ARCH`, `missing IMAGE`
//! (it cannot be found: what is said then), `context NAME files`, `context NAME image REFERENCE`,
//! `context NAME layout REFERENCE`, `env K=V`, `unsetenv NAME`, `unsetlabel KEY`,
//! `allow ENTITLEMENT`, `network host|none`, `identity K=V`, `inherit-labels false`. `#@ image` takes one setting a line:
//! `env`, `workdir`, `user`, `cmd`, `entrypoint`, `shell`, `onbuild` (several times, with `\n` for
//! a new line), `label`, `arch`, `other`.
//! Images that no line describes are empty.
//!
//! In `surveys.txt` and `outlines.txt` no image is known.
//!
//! The result is: `needs IMAGE` for each image asked for; then the plan as
//! `rbuild_plan::dump` prints it; then diagnostics with the text that they point at.

mod random;
mod result;

use result::{outline_of, result_of, survey_of};

/// One case of a data file.
struct Case<'a> {
    name: &'a str,
    /// `#@` lines, without `#@`.
    settings: Vec<&'a str>,
    dockerfile: String,
    expected: Vec<&'a str>,
}

fn cases(data: &str) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    for text in data.split("\n--- ").skip(1) {
        let (name, rest) = text.split_once('\n').expect("a case has a body");
        let (input, expected) = rest.split_once("\n===").expect("a case has a result");
        let (settings, lines): (Vec<&str>, Vec<&str>) =
            input.lines().partition(|line| line.starts_with("#@ "));
        cases.push(Case {
            name,
            settings: settings.iter().map(|line| &line[3..]).collect(),
            dockerfile: lines.join("\n") + "\n",
            expected: expected
                .lines()
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .collect(),
        });
    }
    cases
}

/// What of `expected` is not so in `actual`.
fn difference(actual: &str, expected: &[&str]) -> Option<String> {
    let lines: Vec<&str> = actual.lines().map(str::trim).collect();
    let mut rest = lines.iter();
    for line in expected {
        let unwanted = line
            .strip_prefix("! ")
            .map(|unwanted| (unwanted, lines.as_slice()))
            .or_else(|| Some((line.strip_prefix("!! ")?, rest.as_slice())));
        if let Some((unwanted, there)) = unwanted {
            if there.contains(&unwanted) {
                return Some(format!("there is, but must not be: {unwanted}"));
            }
        } else if !rest.any(|actual| actual == line) {
            return Some(format!("there is not, or not in this order: {line}"));
        }
    }
    None
}

#[track_caller]
fn check(data: &str) {
    check_by(result_of, data);
}

/// Checks the cases of `data`, whose results `result_of` has.
#[track_caller]
fn check_by(result_of: fn(&[&str], &str) -> String, data: &str) {
    let cases = cases(data);
    assert!(!cases.is_empty(), "there are no cases");
    let mut failures = String::new();
    for case in cases {
        assert!(!case.expected.is_empty(), "`{}` expects nothing", case.name);
        let actual = result_of(&case.settings, &case.dockerfile);
        if let Some(difference) = difference(&actual, &case.expected) {
            failures.push_str(&format!("--- {}\n{difference}\n{actual}\n", case.name));
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn stages_are_linked() {
    check(include_str!("../data/stages.txt"));
}

#[test]
fn targets_are_chosen() {
    check(include_str!("../data/targets.txt"));
}

#[test]
fn args_are_scoped() {
    check(include_str!("../data/args.txt"));
}

#[test]
fn metadata_is_folded() {
    check(include_str!("../data/metadata.txt"));
}

#[test]
fn commands_see_their_environment() {
    check(include_str!("../data/commands.txt"));
}

#[test]
fn copies_are_resolved() {
    check(include_str!("../data/copies.txt"));
}

#[test]
fn heredocs_are_files_and_scripts() {
    check(include_str!("../data/heredocs.txt"));
}

#[test]
fn adds_are_fetched_and_unpacked() {
    check(include_str!("../data/adds.txt"));
}

#[test]
fn mounts_have_their_defaults() {
    check(include_str!("../data/mounts.txt"));
}

#[test]
fn triggers_run_after_from() {
    check(include_str!("../data/onbuild.txt"));
}

#[test]
fn contexts_replace_stages_and_images() {
    check(include_str!("../data/contexts.txt"));
}

#[test]
fn instructions_are_told_as_buildkit_does() {
    check(include_str!("../data/history.txt"));
}

#[test]
fn health_is_told_as_docker_does() {
    check(include_str!("../data/health.txt"));
}

#[test]
fn lints_have_rules() {
    check(include_str!("../data/lints.txt"));
}

#[test]
fn surveys_need_no_images() {
    check_by(survey_of, include_str!("../data/surveys.txt"));
}

#[test]
fn outlines_tell_what_a_target_takes() {
    check_by(outline_of, include_str!("../data/outlines.txt"));
}

#[test]
fn bases_are_inherited() {
    check(include_str!("../data/bases.txt"));
}
