//! Inputs that are meant to hurt: each ends soon, with a result or a clear error.

use rbuild_dockerfile::lint::lint;
use rbuild_dockerfile::{ast::Kind, parse, print};
use std::time::{Duration, Instant};

/// Generous for a debug build on a busy machine; quadratic work takes far longer.
const SOON: Duration = Duration::from_secs(10);

#[track_caller]
fn check(source: &str, expected: &[&str]) {
    let start = Instant::now();
    let (file, diagnostics) = parse(source);
    lint(&file, source);
    print(&file);
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

#[test]
fn many_closed_heredocs_take_linear_time() {
    let openings: String = (0..50_000).map(|n| format!("<<{n} ")).collect();
    let bodies: String = (0..50_000).map(|n| format!("x\n{n}\n")).collect();
    check(&format!("FROM a\nCOPY {openings} /b/\n{bodies}"), &[]);
    check(&format!("FROM a\nRUN {openings} b\n{bodies}"), &[]);
    check(&format!("FROM a\nONBUILD ADD {openings} /\n{bodies}"), &[]);
}

#[test]
fn a_long_body_is_read() {
    let body = "\t".repeat(3 << 20);
    check(&format!("FROM a\nRUN <<-E\n{body}\nE\n"), &[]);
    check(
        &format!("FROM a\nRUN <<E\n{}E\n", "x\n".repeat(1 << 20)),
        &[],
    );
}

#[test]
fn many_mounts_and_options_take_linear_time() {
    let mounts = "--mount=type=ssh ".repeat(60_000);
    check(&format!("FROM a\nRUN {mounts} b\n"), &[]);
    let options = "id=a,".repeat(200_000);
    check(&format!("FROM a\nRUN --mount={options}type=ssh b\n"), &[]);
    let quotes = "\\\"".repeat(400_000);
    let (_, diagnostics) = parse(&format!("FROM a\nRUN --mount={quotes} b\n"));
    assert_eq!(diagnostics.len(), 1);
}

#[test]
fn many_list_flags_and_repeated_ones_take_linear_time() {
    let excluded = "--exclude=a ".repeat(80_000);
    check(&format!("FROM a\nCOPY {excluded} b /c\n"), &[]);
    let devices = "--device=a --network=none ".repeat(30_000);
    let (_, diagnostics) = parse(&format!("FROM a\nRUN {devices} b\n"));
    assert_eq!(diagnostics.len(), 29_999);
}

#[test]
fn many_comments_and_rules_take_linear_time() {
    let names = "a,".repeat(500_000);
    let stages = "FROM a AS B\n".repeat(9_000);
    let file = format!("# check=skip={names}\n{stages}");
    check(&file, &[]);
    let comments = "# check=skip=a\n".repeat(200_000);
    check(&format!("FROM a\n{comments}RUN b\n"), &[]);
    check(&format!("{}FROM a\n", "# a\n".repeat(1_000_000)), &[]);
}

#[test]
fn a_large_shell_is_not_copied_into_each_stage() {
    let shell = "\"a\",".repeat(200_000);
    let stages: String = (0..9_000)
        .map(|n| format!("FROM s{n} AS s{}\n", n + 1))
        .collect();
    check(
        &format!("FROM a AS s0\nSHELL [{shell}\"b\"]\n{stages}"),
        &[],
    );
}

#[test]
fn long_durations_and_numbers_are_refused() {
    let digits = "9".repeat(500_000);
    let source = format!("FROM a\nHEALTHCHECK --interval={digits}h --retries={digits} CMD b\n");
    let (_, diagnostics) = parse(&source);
    assert_eq!(diagnostics.len(), 2);
    check(
        &format!("FROM a\nHEALTHCHECK --interval=1.{digits}s CMD b\n"),
        &[],
    );
}

#[test]
fn a_long_misspelt_name_is_not_compared_for_long() {
    let name = "x".repeat(900_000);
    for line in [
        name.clone(),
        format!("RUN --{name} b"),
        format!("RUN --mount={name} b"),
        format!("RUN --network={name} b"),
    ] {
        let start = Instant::now();
        let (_, diagnostics) = parse(&format!("FROM a\n{line}\n"));
        assert_eq!(diagnostics.len(), 1);
        assert!(start.elapsed() < SOON, "took {:?}", start.elapsed());
    }
}
