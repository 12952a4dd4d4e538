//! Each check has a case that shows it, a page, and a line in the list of pages.
//!
//! A case names what it finds: `(Rule)` in the corpus of this crate, `rule: Rule` in that of
//! rbuild-plan, `warning[Rule]` in the end-to-end tests, which alone have files to look at.

use std::path::Path;

use rbuild_dockerfile::lint::RULES;

/// Files with cases below the root of the project, and how they name a finding.
const CASES: [(&str, &str, &str); 4] = [
    (
        "crates/rbuild-dockerfile/tests/data/check_rules.txt",
        "(",
        ")",
    ),
    ("crates/rbuild-plan/tests/data/lints.txt", "\nrule: ", "\n"),
    (
        "crates/rbuild-plan/tests/data/surveys.txt",
        "\nrule: ",
        "\n",
    ),
    ("tests/e2e/checks.rs", "warning[", "]"),
];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap_or_default()
}

#[test]
fn each_rule_is_shown_by_a_case() {
    let cases = CASES.map(|(path, before, after)| (read(path), before, after));
    for rule in &RULES {
        let shows = |(text, before, after): &(String, &str, &str)| {
            text.contains(&format!("{before}{}{after}", rule.name))
        };
        assert!(cases.iter().any(shows), "nothing shows `{}`", rule.name);
    }
}

#[test]
fn each_rule_is_in_the_list_of_pages() {
    let list = read("docs/checks/README.md");
    for rule in &RULES {
        let link = format!("[{0}]({0}.md)", rule.name);
        assert!(list.contains(&link), "no link to `{}`", rule.name);
    }
}
