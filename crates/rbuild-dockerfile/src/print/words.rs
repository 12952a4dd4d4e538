//! Words, flags and arrays, quoted as far as needed.

use crate::ast::{Heredoc, Spanned, Word};
use crate::fragment::SPACES;

/// The words, verbatim.
pub(super) fn plain(words: &[Word]) -> String {
    let words: Vec<&str> = words.iter().map(|word| word.value.as_str()).collect();
    words.join(" ")
}

/// The words, verbatim if that is read as the same, else as an array (P14).
pub(super) fn plain_or_json(words: &[Word], escape: char) -> String {
    let special = |word: &Word| {
        let text = word.value.as_str();
        let after_digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
        text.is_empty()
            || text.contains(SPACES)
            || text.contains(char::is_whitespace)
            || text.starts_with('[')
            || text.ends_with(escape)
            || after_digits.starts_with("<<")
    };
    match words.iter().any(special) {
        true => {
            let words: Vec<&str> = words.iter().map(|word| word.value.as_str()).collect();
            json(&words)
        }
        false => plain(words),
    }
}

/// A JSON array.
pub(super) fn json<S: AsRef<str>>(words: &[S]) -> String {
    let strings: Vec<String> = words
        .iter()
        .map(|word| serde_json::Value::from(word.as_ref()).to_string())
        .collect();
    format!("[{}]", strings.join(", "))
}

/// ` --name=value`, escaped as flags are (P13).
pub(super) fn flag(name: &str, value: &str) -> String {
    let mut text = format!(" --{name}=");
    for char in value.chars() {
        if char.is_whitespace() || matches!(char, '\'' | '"' | '\\') {
            text.push('\\');
        }
        text.push(char);
    }
    text
}

/// ` --name` or ` --name=false`.
pub(super) fn switch(name: &str, value: &Spanned<bool>) -> String {
    match value.value {
        true => format!(" --{name}"),
        false => format!(" --{name}=false"),
    }
}

/// `<<NAME`. A quoted name is in single quotes, and its single quotes in double ones.
pub(super) fn opening(heredoc: &Heredoc) -> String {
    let dash = if heredoc.strips_tabs { "-" } else { "" };
    let name = &heredoc.name.value;
    match heredoc.quoted {
        true => format!("<<{dash}'{}'", name.replace('\'', "'\"'\"'")),
        false => format!("<<{dash}{name}"),
    }
}
