//! What holds for every input.

use proptest::prelude::*;
use rbuild_dockerfile::expand::{expand, expand_words};
use rbuild_dockerfile::{Severity, dump, parse};

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

fn parse_holds(source: &str) {
    let (file, diagnostics) = parse(source);
    for found in &diagnostics {
        assert!(source.get(found.span.clone()).is_some(), "{found:?}");
    }
    let failed = diagnostics
        .iter()
        .any(|found| found.severity == Severity::Error);
    assert!(failed || !file.stages.is_empty());
    dump(&file, &diagnostics, source);
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
    fn expand_takes_any_string(source in any::<String>(), escape in prop::sample::select(vec!['\\', '`'])) {
        expand_holds(&source, escape);
    }

    #[test]
    fn expand_takes_any_word(source in word(), escape in prop::sample::select(vec!['\\', '`'])) {
        expand_holds(&source, escape);
    }
}
