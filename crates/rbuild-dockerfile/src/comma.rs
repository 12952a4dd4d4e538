//! Fields with commas between them, some of them in quotes: RFC 4180, in one line.
//!
//! Does not know: what a field means, nor whether its quotes have to be in order.

use std::ops::Range;

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it says, without its quotes.
    pub text: String,
    /// Where it was written, in bytes.
    pub range: Range<usize>,
    /// Whether its quotes end, and nothing follows them.
    pub is_closed: bool,
}

/// The fields of `text`, at least one. A field in double quotes may have commas in it, and quotes,
/// doubled.
pub fn comma_separated(text: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut start = 0;
    loop {
        let field = field(text, start);
        start = field.range.end + 1;
        fields.push(field);
        if start > text.len() {
            return fields;
        }
    }
}

/// The field that starts at `start`.
fn field(text: &str, start: usize) -> Field {
    let rest = &text[start..];
    let closed = |text: String, end: usize, is_closed| Field {
        text,
        range: start..end,
        is_closed,
    };
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(',').unwrap_or(rest.len());
        return closed(rest[..end].to_owned(), start + end, true);
    };
    let mut field = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        if char != '"' {
            field.push(char);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            field.push('"');
        } else {
            let after = &quoted[at + 1..];
            let tail = after.find(',').unwrap_or(after.len());
            field.push_str(&after[..tail]);
            return closed(field, start + 1 + at + 1 + tail, tail == 0);
        }
    }
    closed(field, text.len(), false)
}

#[cfg(test)]
mod tests {
    use super::comma_separated;

    /// What the fields say and where they are; `!` for one whose quotes are not in order.
    fn shown(text: &str) -> String {
        let fields = comma_separated(text).into_iter().map(|it| {
            let mark = if it.is_closed { "" } else { "!" };
            format!("{}[{}]{mark}", it.text, &text[it.range])
        });
        fields.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn commas_separate_but_in_quotes() {
        assert_eq!(shown("a,,b"), "a[a] [] b[b]");
        assert_eq!(shown(""), "[]");
        assert_eq!(shown("a,"), "a[a] []");
        assert_eq!(shown("\"a,b\",c"), "a,b[\"a,b\"] c[c]");
        assert_eq!(shown("\"a\"\"b\""), "a\"b[\"a\"\"b\"]");
        assert_eq!(shown("a\"b"), "a\"b[a\"b]");
    }

    #[test]
    fn quotes_that_are_not_in_order_are_told() {
        assert_eq!(shown("\"a"), "a[\"a]!");
        assert_eq!(shown("\"a\"b,c"), "ab[\"a\"b]! c[c]");
        assert_eq!(shown("\"\"\""), "\"[\"\"\"]!");
    }
}
