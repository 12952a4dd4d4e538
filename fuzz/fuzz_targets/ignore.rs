//! The ignore matcher agrees with one that is slow and plain.
//!
//! The input is an ignore file, a NUL, and a path. The reference here is written from the
//! definition: the last pattern that matches the path or one of its parents decides, and a
//! pattern is tried by backtracking (dockerfile.md I3–I5, I7; moby/patternmatcher).
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_context::IgnoreRules;

/// Backtracking is exponential in these.
const MAX_STARS: usize = 5;

fuzz_target!(|input: &str| {
    let Some((text, path)) = input.split_once('\0') else {
        return;
    };
    let parts: Vec<&str> = path.split('/').collect();
    let clean = parts.iter().all(|part| !["", ".", ".."].contains(part));
    if !clean
        || path.len() > 40
        || text
            .lines()
            .any(|line| line.matches('*').count() > MAX_STARS)
    {
        let _ = IgnoreRules::parse(text);
        return;
    }
    let Ok(rules) = IgnoreRules::parse(text) else {
        return;
    };
    let excluded = excludes(text, &parts);
    assert_eq!(
        rules.excludes(path.as_bytes()),
        excluded,
        "{text:?} {path:?}"
    );
    for end in 1..parts.len() {
        let parent = parts[..end].join("/");
        if excludes(text, &parts[..end]) && !rules.must_descend(parent.as_bytes()) {
            assert!(
                excluded,
                "{text:?} does not descend into {parent:?} for {path:?}"
            );
        }
    }
});

/// Whether the ignore file `text` takes away the path of `parts`.
fn excludes(text: &str, parts: &[&str]) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut excluded = false;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let line = line.trim();
        let (pattern, include) = match line.strip_prefix('!') {
            Some(pattern) => (pattern.trim(), true),
            None => (line, false),
        };
        let pattern: Vec<char> = clean(pattern).chars().collect();
        let hit = |end| {
            let prefix: Vec<char> = parts[..end].join("/").chars().collect();
            matches(&pattern, &prefix, is_suffix(&pattern))
        };
        if !pattern.is_empty() && (1..=parts.len()).any(hit) {
            excluded = !include;
        }
    }
    excluded
}

/// As Go's `path.Clean`, without the leading slash.
fn clean(pattern: &str) -> String {
    let absolute = pattern.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", Some(&last)) if last != ".." => drop(parts.pop()),
            ("..", None) if absolute => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether `pattern` is `**` and plain text: moby/patternmatcher takes it as "ends in".
fn is_suffix(pattern: &[char]) -> bool {
    let plain =
        |rest: &[char]| !rest.starts_with(&['/']) && !rest.iter().any(|c| "*?[\\".contains(*c));
    pattern.strip_prefix(&['*', '*']).is_some_and(plain)
}

fn matches(pattern: &[char], text: &[char], suffix: bool) -> bool {
    if suffix {
        return text.ends_with(&pattern[2..]);
    }
    match pattern {
        [] => text.is_empty(),
        ['*', '*'] | ['*', '*', '/'] => true,
        ['*', '*', '/', rest @ ..] | ['*', '*', rest @ ..] => {
            let below = |at: usize| text[at] == '/' && matches(rest, &text[at + 1..], false);
            matches(rest, text, false) || (0..text.len()).any(below)
        }
        ['*', rest @ ..] => {
            let name = text.iter().position(|c| *c == '/').unwrap_or(text.len());
            (0..=name).any(|at| matches(rest, &text[at..], false))
        }
        ['?', rest @ ..] => {
            text.first().is_some_and(|c| *c != '/') && matches(rest, &text[1..], false)
        }
        ['[', rest @ ..] => {
            let Some(&char) = text.first() else {
                return false;
            };
            let (within, rest) = class(rest, char);
            within && char != '/' && matches(rest, &text[1..], false)
        }
        ['\\', char, rest @ ..] | [char, rest @ ..] => {
            text.first() == Some(char) && matches(rest, &text[1..], false)
        }
    }
}

/// Whether `char` is in the class that `rest` is inside of, and what follows the class.
fn class(rest: &[char], char: char) -> (bool, &[char]) {
    let negated = rest.first() == Some(&'^');
    let mut rest = &rest[usize::from(negated)..];
    let mut within = false;
    let mut first = true;
    while first || rest[0] != ']' {
        let low = member(&mut rest);
        let high = if rest[0] == '-' {
            rest = &rest[1..];
            member(&mut rest)
        } else {
            low
        };
        within |= low <= char && char <= high;
        first = false;
    }
    (within != negated, &rest[1..])
}

fn member(rest: &mut &[char]) -> char {
    let escaped = usize::from(rest[0] == '\\');
    let member = rest[escaped];
    *rest = &rest[escaped + 1..];
    member
}
