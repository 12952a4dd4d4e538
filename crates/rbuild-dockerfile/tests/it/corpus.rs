//! Runs `tests/data/*.txt`: Dockerfiles that say what is expected of them.
//!
//! A case is a line `--- name ---`, a Dockerfile, and after `=>` the dump of its
//! tree. `#~ error 6-9: message` (or `warning`) above a line expects a diagnostic
//! there; columns count from 1, the end is exclusive; `#~ hint:` belongs to it. A
//! message ends with the name of the check that it is from, if it is from one; files
//! called `check_…` have the findings of `lint` too.
//!
//! What has no errors is the same after it was printed and parsed again.
//!
//! Pictures stand for what cannot be seen: `␍` carriage return, `␉` tab, `␠` space,
//! `␣` no-break space, `␀` NUL, `␄` no newline here, `⟨bom⟩` the byte order mark.
//!
//! `UPDATE_EXPECT=1` rewrites the files with what the parser says now.

use expect_test::expect_file;
use rbuild_dockerfile::lint::{applied, lint};
use rbuild_dockerfile::{Diagnostic, Severity, dump, parse};

const PICTURES: [(&str, &str); 7] = [
    ("␍", "\r"),
    ("␉", "\t"),
    ("␠", " "),
    ("␣", "\u{a0}"),
    ("␀", "\0"),
    ("␄\n", ""),
    ("⟨bom⟩", "\u{feff}"),
];

/// Renders the whole file anew; it is as expected if nothing changes.
#[track_caller]
fn check(name: &str, text: &str) {
    let path = format!("{}/tests/data/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let (head, cases) = text.split_once("--- ").expect("a file has cases");
    let rendered: String = cases
        .split("\n--- ")
        .map(|case| render(case, name.starts_with("check_")))
        .collect::<Vec<_>>()
        .join("\n");
    expect_file![path].assert_eq(&format!("{head}{}\n", rendered.trim_end()));
}

fn render(case: &str, checked: bool) -> String {
    let (name, body) = case.split_once(" ---\n").expect("a case has a name");
    let written = body.split("=>\n").next().unwrap_or(body);
    let written: String = written
        .lines()
        .filter(|line| !line.starts_with("#~ "))
        .map(|line| format!("{line}\n"))
        .collect();
    let written = written.trim_end_matches('\n').to_owned() + "\n";
    let source = PICTURES
        .iter()
        .fold(written.clone(), |text, (picture, byte)| {
            text.replace(picture, byte)
        });
    let (file, mut diagnostics) = parse(&source);
    if checked {
        diagnostics.extend(lint(&file, &source));
        diagnostics.sort_by_key(|found| found.span.start);
    }
    let diagnostics = applied(&file, diagnostics);
    crate::properties::print_holds(&source);
    let annotated = annotate(&written, &source, &diagnostics);
    let tree = dump(&file, &[], &source);
    let tree = if tree.is_empty() {
        tree
    } else {
        format!("=>\n{tree}")
    };
    format!("--- {name} ---\n{annotated}{tree}")
}

/// The Dockerfile with each diagnostic above the line that it points at.
fn annotate(written: &str, source: &str, diagnostics: &[Diagnostic]) -> String {
    let place = |offset: usize| {
        let before = &source[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count(),
            before[start..].chars().count() + 1,
        )
    };
    let mut out = String::new();
    for (number, line) in written.lines().enumerate() {
        for found in diagnostics
            .iter()
            .filter(|found| place(found.span.start).0 == number)
        {
            let severity = match found.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let (last, end) = place(found.span.end);
            let end = if last == number {
                end.to_string()
            } else {
                format!("+{}:{end}", last - number)
            };
            let start = place(found.span.start).1;
            let rule = found.rule.map(|rule| format!(" ({rule})"));
            let rule = rule.unwrap_or_default();
            out += &format!("#~ {severity} {start}-{end}: {}{rule}\n", found.message);
            out.extend(found.hint.iter().map(|hint| format!("#~ hint: {hint}\n")));
        }
        out += &format!("{line}\n");
    }
    out
}

/// A test for each file.
macro_rules! corpus {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(stringify!($name), include_str!(concat!("../data/", stringify!($name), ".txt")));
        }
    )*};
}

corpus!(lines directives names flags words commands from copy add heredocs mounts healthcheck onbuild check_rules check_wanted);
