//! What holds for every input.

use proptest::prelude::*;
use rbuild_dockerfile::expand::{expand, expand_words};
use rbuild_dockerfile::lint::lint;
use rbuild_dockerfile::{Dockerfile, Severity, dump, parse, print};

/// Text made of the pieces that mean something in a Dockerfile.
fn dockerfile() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "FROM ",
        "RUN ",
        "COPY ",
        "ENV ",
        "ARG ",
        "CMD ",
        "SHELL ",
        "LABEL ",
        "VOLUME ",
        "ONBUILD ",
        "--from=",
        "--mount=",
        "type=cache",
        "type=secret,",
        "target=/a",
        "id=a,",
        "ro,",
        "--network=none",
        "--exclude=a",
        "--link",
        "--interval=5s",
        "HEALTHCHECK ",
        "ADD ",
        "MAINTAINER ",
        "EXPOSE ",
        "80",
        "# a ",
        "# check=skip=",
        "# check=",
        "NONE",
        ";",
        "AS a",
        " /a\n",
        "--",
        "a",
        "=",
        "é",
        " ",
        "\t",
        "\u{a0}",
        "\n",
        "\r\n",
        "\\\n",
        "`\n",
        "\\",
        "`",
        "#",
        "# escape=`\n",
        "# syntax=",
        "[",
        "]",
        "\"",
        "'",
        ",",
        "<<EOF",
        "<<-",
        "EOF\n",
        "((",
        "$",
        "\u{feff}",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// An instruction that is likely to be right, with pieces that are likely to be hard
/// to print.
fn instruction() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "RUN ",
        "COPY ",
        "ADD ",
        "ENV ",
        "LABEL a=",
        "ARG a=",
        "CMD ",
        "VOLUME ",
        "EXPOSE ",
        "WORKDIR ",
        "HEALTHCHECK CMD ",
        "HEALTHCHECK --retries=1 --interval=1.5s CMD ",
        "ONBUILD COPY ",
        "onbuild run ",
        "RUN --mount=type=cache,target=/a,id='\"a,\"\"b\"' ",
        "RUN --mount=type=secret,id=a,required --network=host --device=a/b=c,required ",
        "COPY --link --exclude=\"a b\" --exclude=\\' --chown=$a ",
        "ADD --unpack=false --checksum=${a:-b} ",
        "# check=skip=A,B\nUSER ",
        "# a is this\nARG ",
    ]);
    let piece = prop::sample::select(vec![
        "a", "b", "/c", "$a", "é", " ", " ", "\t", "\u{a0}", "\"", "'", "\\", "\\ ", "\\\n", "[",
        "]", "[\"a\", ", "\"b\"]", "--", "--a", "=", "<<", "<<E ", "<<-'E' ", "<<\"E\" ", "((",
        "))", "#", "{", "}", ",", "`",
    ]);
    let rest = prop::collection::vec(piece, 1..8);
    let body = prop::sample::select(vec!["", "\n", "\nE", "\nx\n\ty\nE", "\n#!a\nE\nE"]);
    (name, rest, body).prop_map(|(name, rest, body)| format!("{name}{}{body}\n", rest.concat()))
}

/// Text made of the pieces that mean something in a word.
fn word() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "$", "{", "}", "${", "a", "v", "é", "1", ":", "-", "+", "?", "#", "%", "/", "*", "\\", "`",
        "'", "\"", " ",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn lookup(name: &str) -> Option<String> {
    (name != "a").then(|| "vé*/".repeat(name.len()))
}

/// What is printed is read as the same.
#[track_caller]
pub(crate) fn print_holds(source: &str) {
    let (file, diagnostics) = parse(source);
    if diagnostics
        .iter()
        .any(|found| found.severity == Severity::Error)
    {
        return;
    }
    let printed = print(&file);
    let (again, _) = parse(&printed);
    assert_eq!(
        without_spans(&file),
        without_spans(&again),
        "of {source:?}, printed {printed:?}"
    );
}

/// The tree as text, its spans left out.
fn without_spans(file: &Dockerfile) -> String {
    let text = format!("{file:?}");
    let mut parts = text.split("span: ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept += part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    }
    kept
}

fn parse_holds(source: &str) {
    let (file, mut diagnostics) = parse(source);
    diagnostics.extend(lint(&file, source));
    for found in &diagnostics {
        assert!(source.get(found.span.clone()).is_some(), "{found:?}");
    }
    let failed = diagnostics
        .iter()
        .any(|found| found.severity == Severity::Error);
    assert!(failed || !file.stages.is_empty());
    dump(&file, &diagnostics, source);
    print_holds(source);
}

fn expand_holds(word: &str, escape: char) {
    match expand(word, escape, &lookup) {
        Ok(expanded) => assert!(expanded.text.len() <= 128 << 10),
        Err(error) => assert!(word.is_char_boundary(error.offset()), "{error:?}"),
    }
    let _ = expand_words(word, escape, &lookup);
}

proptest! {
    #[test]
    fn parse_takes_any_string(source in any::<String>()) {
        parse_holds(&source);
    }

    #[test]
    fn parse_takes_any_dockerfile(source in dockerfile()) {
        parse_holds(&source);
    }

    #[test]
    fn parse_takes_any_stage(instructions in prop::collection::vec(instruction(), 0..8)) {
        parse_holds(&format!("FROM a\n{}", instructions.concat()));
    }

    #[test]
    fn expand_takes_any_string(source in any::<String>(), escape in prop::sample::select(vec!['\\', '`'])) {
        expand_holds(&source, escape);
    }

    #[test]
    fn expand_takes_any_word(source in word(), escape in prop::sample::select(vec!['\\', '`'])) {
        expand_holds(&source, escape);
    }
}
