//! Rust source without its comments and literals, so that rules look at code
//! only. Lines stay where they are.

/// `source` with comments, strings and character literals turned into blanks.
pub fn code(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while !rest.is_empty() {
        let blank = blank_length(rest, out.chars().next_back());
        let (text, after) = rest.split_at(blank.max(first_char(rest)));
        if blank > 0 {
            out.extend(text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(text);
        }
        rest = after;
    }
    out
}

/// Production code only: [`code`] up to the first `#[cfg(test)]`.
pub fn production(source: &str) -> String {
    let mut code = code(source);
    if let Some(tests) = code.find("#[cfg(test)]") {
        code.truncate(tests);
    }
    code
}

/// The identifiers and keywords of `code` with their line numbers from 1.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().flat_map(|(index, line)| {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        words
            .filter(|word| !word.is_empty())
            .map(move |word| (index + 1, word))
    })
}

fn first_char(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// Length in bytes of the comment or literal that `rest` begins with, or 0.
fn blank_length(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => string(rest, 1),
        [b'r', b'"' | b'#', ..] if !in_word => raw_string(rest),
        [b'\'', ..] => character(rest),
        _ => 0,
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &str, start: usize) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> usize {
    let hashes = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
    if rest.as_bytes().get(1 + hashes) != Some(&b'"') {
        return 0; // a raw identifier
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = 2 + hashes;
    rest[body..]
        .find(&end)
        .map_or(rest.len(), |at| body + at + end.len())
}

/// `'x'` and `'\n'`, but not the lifetime `'x`.
fn character(rest: &str) -> usize {
    if rest[1..].starts_with('\\') {
        return rest[2..]
            .char_indices()
            .skip(1)
            .find(|&(_, c)| c == '\'')
            .map_or(0, |(at, _)| at + 3);
    }
    let first = first_char(&rest[1..]);
    if rest[1 + first..].starts_with('\'') {
        first + 2
    } else {
        0
    }
}
