//! `created_by`: how an instruction is written in an image's history.
//!
//! The texts are BuildKit's, letter by letter, because tools read them, with two
//! exceptions: no ` # buildkit` at the end, and names of ARGs without their values,
//! which may be secrets (G5).
//!
//! Spec: dockerfile.md 1.16.

/// The words of a `COPY` or `ADD`, expanded, as written.
pub(crate) struct CopyWords<'a> {
    /// `COPY` or `ADD`.
    pub name: &'a str,
    /// Flags that are told, with their values; a flag without one is a switch.
    pub flags: Vec<(&'a str, Option<&'a str>)>,
    /// What to copy.
    pub sources: &'a [String],
    /// Where to.
    pub destination: &'a str,
}

/// `ENV a=1 b=2`, `LABEL a=1 b=2`.
pub(crate) fn pairs(name: &str, pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| format!(" {key}={value}"));
    format!("{name}{}", pairs.collect::<String>())
}

/// `VOLUME [/a /b]`: a list as Go's `%v` prints it.
pub(crate) fn go_list(name: &str, values: &[String]) -> String {
    format!("{name} [{}]", values.join(" "))
}

/// `CMD ["a" "b"]`: a list as Go's `%q` prints it.
pub(crate) fn go_quoted_list(name: &str, values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| go_quote(value)).collect();
    go_list(name, &quoted)
}

/// `RUN |2 A B /bin/sh -c text`; without `|N` if there are no ARGs.
pub(crate) fn run(args: &[&str], argv: &[String]) -> String {
    let count = (!args.is_empty()).then(|| format!("|{}", args.len()));
    let words = count.iter().map(String::as_str).chain(args.iter().copied());
    let words: Vec<&str> = words.chain(argv.iter().map(String::as_str)).collect();
    format!("RUN {}", words.join(" "))
}

/// `COPY --chown=a --chmod=644 from… to`; where it came from is not told.
pub(crate) fn copy(words: &CopyWords<'_>) -> String {
    let mut text = words.name.to_owned();
    for (flag, value) in &words.flags {
        text.push_str(&format!(" {flag}"));
        if let Some(value) = value {
            text.push_str(&format!("={value}"));
        }
    }
    for source in words.sources {
        text.push_str(&format!(" {source}"));
    }
    format!("{text} {}", words.destination)
}

/// `text` as Go's `strconv.Quote` writes it.
fn go_quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            ' ' => quoted.push(' '),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() || c.is_whitespace() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{go_quote, run};

    #[test]
    fn quoting_is_gos() {
        for (text, expected) in [
            ("", r#""""#),
            (r#"a "b" \c"#, r#""a \"b\" \\c""#),
            ("\n\t\x07\x1b\x7f", r#""\n\t\a\x1b\x7f""#),
            ("ä \u{a0}", r#""ä \u00a0""#),
        ] {
            assert_eq!(go_quote(text), expected);
        }
    }

    #[test]
    fn run_counts_its_args() {
        let argv = ["sh".to_owned(), "-c".to_owned(), "x".to_owned()];
        assert_eq!(run(&[], &argv), "RUN sh -c x");
        assert_eq!(run(&["A", "B"], &argv), "RUN |2 A B sh -c x");
    }
}
