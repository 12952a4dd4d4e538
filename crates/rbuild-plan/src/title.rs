//! A step's name for people: its instruction on one line.

use rbuild_dockerfile::ast::Span;

/// Longest title, in characters.
const LONGEST: usize = 200;

/// The instruction at `span` of `text`: continuations joined, white space collapsed,
/// without comments and heredoc bodies, cut with `…` after 200 characters.
pub(crate) fn of(text: &str, span: &Span, escape: char) -> String {
    let mut words: Vec<&str> = Vec::new();
    for line in text.get(span.clone()).unwrap_or_default().lines() {
        let line = line.trim();
        if line.is_empty() || (line.starts_with('#') && !words.is_empty()) {
            continue;
        }
        // Two of them are none (P8).
        let continued = line
            .strip_suffix(escape)
            .filter(|rest| !rest.ends_with(escape));
        words.extend(continued.unwrap_or(line).split_whitespace());
        if continued.is_none() {
            break; // what follows is heredocs
        }
    }
    let title = words.join(" ");
    match title.char_indices().nth(LONGEST) {
        None => title,
        Some(_) => title.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(of(text, &(0..text.len()), '\\'), expected);
    }

    #[test]
    fn an_instruction_becomes_one_line() {
        check("RUN  a\t b", "RUN a b");
        check("RUN a && \\\n    b\\\n  c", "RUN a && b c");
        check("RUN a \\\n# why\n\n  b", "RUN a b");
        check("RUN <<E\nbody\nE", "RUN <<E");
        check("COPY <<E \\\n  /x\nbody\nE", "COPY <<E /x");
        check("RUN a\\  \n b", "RUN a b");
    }

    #[test]
    fn p8_two_escapes_end_the_line() {
        check("RUN a \\\\\nb", "RUN a \\\\");
    }

    #[test]
    fn long_ones_are_cut() {
        let title = of(&"ä".repeat(400), &(0..800), '\\');
        assert_eq!(title.chars().count(), 200);
        assert!(title.ends_with("ä…"));
        check(&"x".repeat(200), &"x".repeat(200));
    }
}
