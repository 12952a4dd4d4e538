//! Tables of matches, and the automaton against a slow definition.

use proptest::prelude::{Strategy, prop_assert_eq, proptest};

use super::{Dialect, Pattern};

#[track_caller]
fn check(dialect: Dialect, pattern: &str, yes: &[&str], no: &[&str]) {
    let compiled = Pattern::compile(pattern.as_bytes(), dialect).unwrap();
    for text in yes {
        assert!(
            compiled.matches(text.as_bytes()),
            "`{pattern}` should match `{text}`"
        );
    }
    for text in no {
        assert!(
            !compiled.matches(text.as_bytes()),
            "`{pattern}` should not match `{text}`"
        );
    }
}

#[test]
fn stars_stay_within_a_name() {
    check(
        Dialect::Component,
        "*.c",
        &["a.c", ".c"],
        &["a/b.c", "a.cc"],
    );
    check(Dialect::Component, "a**b", &["ab", "axxb"], &["a/b"]);
    check(Dialect::Ignore, "a/*/c", &["a/b/c"], &["a/c", "a/b/b/c"]);
}

#[test]
fn double_stars_cross_names() {
    check(
        Dialect::Ignore,
        "**/x",
        &["x", "a/x", "a/b/x"],
        &["ax", "x/a"],
    );
    check(Dialect::Ignore, "a/**", &["a/b", "a/b/c"], &["a", "ab"]);
    check(
        Dialect::Ignore,
        "a/**/b",
        &["a/b", "a/x/b", "a/x/y/b"],
        &["a/xb", "ab"],
    );
    check(Dialect::Ignore, "**", &["a", "a/b"], &[]);
    check(Dialect::Ignore, "**/*", &["a", "a/b"], &[]);
    check(Dialect::Ignore, "**.go", &["a.go", "a/b.go"], &["a.goo"]);
    check(Dialect::Ignore, "a**b", &["ab", "ax/b", "a/b"], &["axb"]);
}

#[test]
fn characters_classes_and_escapes() {
    check(
        Dialect::Component,
        "a?c",
        &["abc", "aéc"],
        &["ac", "a/c", "abbc"],
    );
    check(
        Dialect::Component,
        "arr[[]0].txt",
        &["arr[0].txt"],
        &["arr0.txt"],
    );
    check(Dialect::Component, "[a-c]", &["b"], &["d", "-"]);
    check(Dialect::Component, "[^a-c]", &["d", "é"], &["b", "/", ""]);
    check(Dialect::Component, "\\*", &["*"], &["a", "\\*"]);
    check(Dialect::Ignore, "a.b$(+)|", &["a.b$(+)|"], &["axb$(+)|"]);
}

#[test]
fn malformed_patterns_are_refused() {
    for text in ["[", "[]", "[a", "[a-", "[-a]", "[^]", "a\\", "[a-]"] {
        assert!(
            Pattern::compile(text.as_bytes(), Dialect::Ignore).is_err(),
            "`{text}`"
        );
    }
}

#[test]
fn hostile_patterns_take_no_time() {
    let pattern = Pattern::compile("**/a*".repeat(2_000).as_bytes(), Dialect::Ignore).unwrap();
    assert!(!pattern.matches("a".repeat(4_000).as_bytes()));
}

#[test]
fn what_may_match_below_a_directory() {
    let check = |pattern: &str, dir: &str, expected: bool| {
        let compiled = Pattern::compile(pattern.as_bytes(), Dialect::Ignore).unwrap();
        assert_eq!(
            compiled.may_match_below(dir.as_bytes()),
            expected,
            "`{pattern}` `{dir}`"
        );
    };
    check("dir/file", "dir", true);
    check("dir/file", "other", false);
    check("dir/file", "di", false);
    check("README.md", "node_modules", false);
    check("**/keep", "node_modules", true);
    check("src/*.c", "src", true);
    check("src/*.c", "lib", false);
}

/// The definition, by backtracking: slow, and short enough to be seen right.
fn reference(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*'] | [b'*', b'*', b'/'] => true,
        [b'*', b'*', b'/', rest @ ..] => dirs(rest, text),
        [b'*', b'*', rest @ ..] => dirs(rest, text),
        [b'*', rest @ ..] => {
            let name = text.iter().take_while(|&&b| b != b'/').count();
            (0..=name).any(|skip| reference(rest, &text[skip..]))
        }
        [b'?', rest @ ..] => {
            text.first().is_some_and(|&b| b != b'/') && reference(rest, &text[1..])
        }
        [byte, rest @ ..] => text.first() == Some(byte) && reference(rest, &text[1..]),
    }
}

fn dirs(rest: &[u8], text: &[u8]) -> bool {
    let after_slash = |at: &usize| *at == 0 || text[at - 1] == b'/';
    (0..=text.len())
        .filter(after_slash)
        .any(|at| reference(rest, &text[at..]))
}

/// Short texts over `alphabet`.
fn text(alphabet: &'static str) -> impl Strategy<Value = String> {
    let bytes = alphabet.as_bytes();
    let index = proptest::num::usize::ANY.prop_map(|n| char::from(bytes[n % bytes.len()]));
    proptest::collection::vec(index, 1..9).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn the_automaton_agrees_with_the_definition(tail in text("ab/*?**"), path in text("ab/")) {
        // A leading `**` without slash is a suffix match, which the definition leaves out.
        let pattern = format!("a{tail}");
        let path = format!("a{path}");
        let compiled = Pattern::compile(pattern.as_bytes(), Dialect::Ignore).unwrap();
        let expected = reference(pattern.as_bytes(), path.as_bytes());
        prop_assert_eq!(compiled.matches(path.as_bytes()), expected, "{} {}", pattern, path);
    }
}
