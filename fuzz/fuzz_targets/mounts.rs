//! Any value of `RUN --mount` and other flags is read or refused, and printed as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_dockerfile::{Severity, parse, print};

fuzz_target!(|value: &str| {
    for flag in ["mount", "device", "network"] {
        let source = format!("FROM a\nRUN --{flag}={value} b\n");
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
