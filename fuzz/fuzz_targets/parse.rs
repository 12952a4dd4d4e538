//! Any text is parsed, checked and shown; what has no errors is printed and read as sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_dockerfile::lint::lint;
use rbuild_dockerfile::{Severity, dump, parse, parse_trigger, print};

fuzz_target!(|source: &str| {
    let (file, mut diagnostics) = parse(source);
    diagnostics.extend(lint(&file, source));
    for found in &diagnostics {
        assert!(source.get(found.span.clone()).is_some(), "{found:?}");
    }
    dump(&file, &diagnostics, source);
    parse_trigger(source);
    let failed = |it: &rbuild_dockerfile::Diagnostic| it.severity == Severity::Error;
    if !diagnostics.iter().any(failed) {
        let printed = print(&file);
        let (again, diagnostics) = parse(&printed);
        assert!(!diagnostics.iter().any(failed), "{printed:?}");
        assert_eq!(print(&again), printed);
    }
});
