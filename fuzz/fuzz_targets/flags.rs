//! Any flags of any instruction are read or refused at a place in them, and printed as they
//! were. The values of `RUN --mount` have a target of their own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_dockerfile::{Severity, parse, print};

/// An instruction with flags, and arguments that are right.
const INSTRUCTIONS: [(&str, &str); 8] = [
    ("FROM", "a"),
    ("COPY", "a b"),
    ("ADD", "a b"),
    ("RUN", "a"),
    ("HEALTHCHECK", "CMD a"),
    ("ONBUILD COPY", "a b"),
    ("ONBUILD HEALTHCHECK", "CMD a"),
    ("ENV", "a=b"),
];

fuzz_target!(|flags: &str| {
    for (instruction, arguments) in INSTRUCTIONS {
        let source = format!("FROM a\n{instruction} {flags} {arguments}\n");
        let (file, diagnostics) = parse(&source);
        for found in &diagnostics {
            assert!(source.get(found.span.clone()).is_some(), "{found:?}");
        }
        if diagnostics
            .iter()
            .all(|it| it.severity == Severity::Warning)
        {
            let printed = print(&file);
            assert_eq!(print(&parse(&printed).0), printed);
        }
    }
});
