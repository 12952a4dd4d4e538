//! Inputs that are meant to hurt: each ends soon, with a result or a clear error.

use rbuild_dockerfile::{ast::Kind, parse};
use std::time::{Duration, Instant};

/// Generous for a debug build on a busy machine; quadratic work takes far longer.
const SOON: Duration = Duration::from_secs(10);

#[track_caller]
fn check(source: &str, expected: &[&str]) {
    let start = Instant::now();
    let (_, diagnostics) = parse(source);
    assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    let messages: Vec<&str> = diagnostics
        .iter()
        .map(|found| found.message.as_str())
        .collect();
    assert_eq!(messages, expected);
}

const TOO_LARGE: &str = "the Dockerfile is larger than the limit of 4194304 bytes";
const TOO_LONG: &str = "the instruction is longer than the limit of 1048576 bytes";
const TOO_MANY: &str = "the Dockerfile has more than the limit of 10000 instructions";

#[test]
fn a_line_of_20_mb_is_refused() {
    check(
        &format!("FROM a\nRUN {}", "x".repeat(20 << 20)),
        &[TOO_LARGE],
    );
}

#[test]
fn a_line_of_3_mb_is_refused_and_the_rest_is_read() {
    let source = format!("FROM a\nRUN {}\nWORK /\n", "x".repeat(3 << 20));
    check(&source, &[TOO_LONG, "unknown instruction `WORK`"]);
}

#[test]
fn a_line_of_the_largest_size_is_read() {
    check(&format!("FROM a\nRUN {}\n", "x".repeat((1 << 20) - 4)), &[]);
    check(
        &format!("FROM a\nRUN {}\n", "x".repeat((1 << 20) - 3)),
        &[TOO_LONG],
    );
}

#[test]
fn a_million_continuations_are_joined() {
    let source = "FROM a\nRUN x".to_owned() + &"\\\n".repeat(1_000_000) + "y\n";
    check(&source, &[]);
    let (file, _) = parse(&source);
    assert!(matches!(&file.stages[0].instructions[0].kind, Kind::Run(_)));
}

#[test]
fn a_million_blank_continuations_are_one_warning() {
    let source = "FROM a\nRUN x\\".to_owned() + &"\n".repeat(1_000_000) + "y\n";
    check(&source, &["a blank line inside of an instruction"]);
}

#[test]
fn a_hundred_thousand_instructions_are_refused() {
    check(
        &("FROM a\n".to_owned() + &"RUN x\n".repeat(100_000)),
        &[TOO_MANY],
    );
    check(&("FROM a\n".to_owned() + &"RUN x\n".repeat(9_999)), &[]);
}

#[test]
fn many_words_and_flags_take_linear_time() {
    check(&format!("FROM a\nEXPOSE {}\n", "1 ".repeat(500_000)), &[]);
    check(&format!("FROM a\nENV {}\n", "a=1 ".repeat(250_000)), &[]);
    check(
        &format!("FROM a\nCOPY [{}\"/\"]\n", "\"a\",".repeat(250_000)),
        &[],
    );
    let (_, diagnostics) = parse(&format!("FROM a\nRUN {} x\n", "--a ".repeat(250_000)));
    assert_eq!(diagnostics.len(), 250_000);
}

#[test]
fn deep_json_is_text() {
    check(&format!("FROM a\nRUN {}\n", "[".repeat(1_000_000)), &[]);
}

#[test]
fn many_heredocs_take_linear_time() {
    let line = format!("RUN {}\n", "<<a ".repeat(100_000));
    let (_, diagnostics) = parse(&format!("FROM a\n{line}{}", "b\n".repeat(1_000_000)));
    assert_eq!(diagnostics.len(), 100_000);
}
