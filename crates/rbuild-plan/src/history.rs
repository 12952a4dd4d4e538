//! `created_by`: how an instruction is written in an image's history.
//!
//! The texts are BuildKit's, letter by letter, because tools read them, with two
//! exceptions: no ` # buildkit` at the end, and names of ARGs without their values,
//! which may be secrets (G5).
//!
//! Spec: dockerfile.md 1.16.

use std::time::Duration;

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

/// `duration` as Go prints it: `1h0m0s`, `1.5s`, `20ms`, `0s`.
pub(crate) fn go_duration(duration: Duration) -> String {
    let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 {
        return match nanoseconds {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanoseconds}ns"),
            1_000..1_000_000 => format!("{}µs", decimal(nanoseconds, 1_000)),
            _ => format!("{}ms", decimal(nanoseconds, 1_000_000)),
        };
    }
    let fraction = decimal(nanoseconds, 1_000_000_000);
    let fraction = fraction.trim_start_matches('0');
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = format!("{}{fraction}s", seconds % 60);
    match (hours, minutes) {
        (0, 0) => rest,
        (0, minutes) => format!("{minutes}m{rest}"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
    }
}

/// `number / unit`, which is a power of ten, without zeros at the end.
fn decimal(number: u32, unit: u32) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", number % unit);
    match fraction.trim_end_matches('0') {
        "" => (number / unit).to_string(),
        fraction => format!("{}.{fraction}", number / unit),
    }
}

/// The character with that number as Go's `%q` prints it.
pub(crate) fn go_quoted_char(number: u32) -> String {
    match char::from_u32(number) {
        Some('\'') => "'\\''".to_owned(),
        Some('"') => "'\"'".to_owned(),
        Some(c) => {
            let quoted = go_quote(&c.to_string());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
        None => "'\u{fffd}'".to_owned(),
    }
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
            c if is_printable(c) => quoted.push(c),
            c if u32::from(c) > 0xffff => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether Go prints `c` as it is: letters, marks, numbers, punctuation, symbols.
fn is_printable(c: char) -> bool {
    // Behind a letter, Rust escapes the same characters; at the start it escapes marks too.
    let text = format!("a{c}");
    c.is_ascii_graphic() || text.escape_debug().eq(text.chars())
}

#[cfg(test)]
mod tests {
    use super::{go_duration, go_quote, go_quoted_char, run};
    use std::time::Duration;

    #[test]
    fn durations_are_gos() {
        for (nanoseconds, expected) in [
            (0, "0s"),
            (1_000_000, "1ms"),
            (1_500_000, "1.5ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_601_050_000_000, "1h0m1.05s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanoseconds)), expected);
        }
    }

    #[test]
    fn numbers_are_characters_to_go() {
        for (number, expected) in [(0, r"'\x00'"), (3, r"'\x03'"), (10, r"'\n'"), (65, "'A'")] {
            assert_eq!(go_quoted_char(number), expected);
        }
    }

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
    fn run_counts_its_args_g1() {
        let argv = ["sh".to_owned(), "-c".to_owned(), "x".to_owned()];
        assert_eq!(run(&[], &argv), "RUN sh -c x");
        assert_eq!(run(&["A", "B"], &argv), "RUN |2 A B sh -c x");
    }
}
