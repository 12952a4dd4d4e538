//! Reads a word from left to right and produces its expansion.
//!
//! Knows: quotes, escapes, `$name`, `${name…}`. Does not know: how patterns match.
//!
//! Spec: dockerfile.md V2–V6.

use super::error::ExpandError;
use super::output::{Output, Splits};
use super::pattern::{Fuel, Pattern, Prefer};
use std::collections::BTreeSet;

/// Most levels of `${a:-${b:-…}}`.
pub(super) const MAX_DEPTH: usize = 64;

/// Most bytes of an expanded word: the kernel's `MAX_ARG_STRLEN`.
pub(super) const MAX_LENGTH: usize = 128 << 10;

/// Most bytes of an expanded heredoc body: as large as a whole file.
const MAX_BODY: usize = 4 << 20;

/// Most steps for one word, a few tenths of a second.
const FUEL: u64 = 1 << 25;

/// The names of one character that are not letters, digits or `_` (V3).
const SPECIAL: [char; 7] = ['@', '*', '#', '?', '-', '$', '!'];

/// What becomes of an escape character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// It vanishes and the next character is literal.
    Removed,
    /// Both stay, for [`Pattern::parse`].
    Kept,
}

/// What quotes mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// What is in them belongs together; they vanish.
    Removed,
    /// They are characters like any other.
    Literal,
}

/// The state of reading one word.
pub(super) struct Lexer<'a> {
    word: &'a str,
    position: usize,
    escape: char,
    quotes: Quotes,
    /// Most bytes of the result.
    max_length: usize,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    depth: usize,
    /// False inside of an alternative that was not chosen: nothing is looked up.
    live: bool,
    fuel: Fuel,
    undefined: Vec<String>,
    known_undefined: BTreeSet<String>,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `word`.
    pub(super) fn new(
        word: &'a str,
        escape: char,
        lookup: &'a dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            word,
            position: 0,
            escape,
            quotes: Quotes::Removed,
            max_length: MAX_LENGTH,
            lookup,
            depth: 0,
            live: true,
            fuel: Fuel(FUEL),
            undefined: Vec::new(),
            known_undefined: BTreeSet::new(),
        }
    }

    /// A lexer at the start of the `body` of a heredoc (H4).
    pub(super) fn of_body(body: &'a str, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            quotes: Quotes::Literal,
            max_length: MAX_BODY,
            ..Self::new(body, '\\', lookup)
        }
    }

    /// Expands all of the word.
    pub(super) fn word(&mut self) -> Result<Output, ExpandError> {
        self.sequence(&[], Escapes::Removed)
    }

    /// The names that turned out to have no value.
    pub(super) fn undefined(self) -> Vec<String> {
        self.undefined
    }

    fn peek(&self) -> Option<char> {
        self.word[self.position..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.position += char.len_utf8();
        Some(char)
    }

    fn eat(&mut self, char: char) -> bool {
        let found = self.peek() == Some(char);
        if found {
            self.position += char.len_utf8();
        }
        found
    }

    /// Appends to `output`, within the limits.
    fn push(&mut self, output: &mut Output, text: &str, splits: Splits) -> Result<(), ExpandError> {
        let at = self.position;
        self.fuel.burn(text.len() + 1, at)?;
        if output.len() + text.len() > self.max_length {
            let limit = self.max_length;
            return Err(ExpandError::TooLong { at, limit });
        }
        output.push(text, splits);
        Ok(())
    }

    fn push_char(
        &mut self,
        output: &mut Output,
        char: char,
        splits: Splits,
    ) -> Result<(), ExpandError> {
        self.push(output, char.encode_utf8(&mut [0; 4]), splits)
    }

    /// Expands up to an unquoted character of `stops`, which is not consumed, or to
    /// the end of the word.
    fn sequence(&mut self, stops: &[char], escapes: Escapes) -> Result<Output, ExpandError> {
        let mut output = Output::default();
        while let Some(char) = self.peek().filter(|char| !stops.contains(char)) {
            match char {
                '\'' if self.quotes == Quotes::Removed => self.single_quoted(&mut output)?,
                '"' if self.quotes == Quotes::Removed => {
                    self.double_quoted(&mut output, escapes)?;
                }
                '$' => {
                    let value = self.dollar()?;
                    self.push(&mut output, &value, Splits::Yes)?;
                }
                _ if char == self.escape => self.escaped(&mut output, escapes)?,
                _ => {
                    self.next();
                    self.push_char(&mut output, char, Splits::Yes)?;
                }
            }
        }
        Ok(output)
    }

    /// An escape outside of quotes; at the end of the word it vanishes (V4).
    fn escaped(&mut self, output: &mut Output, escapes: Escapes) -> Result<(), ExpandError> {
        self.next();
        if escapes == Escapes::Kept {
            self.push_char(output, self.escape, Splits::No)?;
        }
        match self.next() {
            Some(literal) => self.push_char(output, literal, Splits::No),
            None => Ok(()),
        }
    }

    fn single_quoted(&mut self, output: &mut Output) -> Result<(), ExpandError> {
        let at = self.position;
        self.next();
        let rest = &self.word[self.position..];
        let Some(length) = rest.find('\'') else {
            return Err(ExpandError::UnclosedQuote { at, quote: '\'' });
        };
        self.push(output, &rest[..length], Splits::No)?;
        self.position += length + 1;
        Ok(())
    }

    /// In double quotes the escape character escapes `"`, `$` and itself only (V4).
    fn double_quoted(&mut self, output: &mut Output, escapes: Escapes) -> Result<(), ExpandError> {
        let at = self.position;
        self.next();
        loop {
            match self.peek() {
                None => return Err(ExpandError::UnclosedQuote { at, quote: '"' }),
                Some('"') => break,
                Some('$') => {
                    let value = self.dollar()?;
                    self.push(output, &value, Splits::No)?;
                }
                Some(char) => {
                    self.next();
                    let escapes_next = char == self.escape
                        && self
                            .peek()
                            .is_some_and(|next| next == char || "\"$".contains(next));
                    if !escapes_next || escapes == Escapes::Kept {
                        self.push_char(output, char, Splits::No)?;
                    }
                    if escapes_next {
                        let literal = self.next().unwrap_or(char);
                        self.push_char(output, literal, Splits::No)?;
                    }
                }
            }
        }
        self.next();
        Ok(())
    }

    /// `$name`, `${…}` or a lone `$`.
    fn dollar(&mut self) -> Result<String, ExpandError> {
        let at = self.position;
        self.next();
        if !self.eat('{') {
            let name = self.name();
            return Ok(match name {
                "" => "$".to_owned(),
                _ => self.value(name).unwrap_or_default(),
            });
        }
        if self.depth == MAX_DEPTH {
            let limit = MAX_DEPTH;
            return Err(ExpandError::TooDeep { at, limit });
        }
        self.depth += 1;
        let value = self.braced(at)?;
        self.depth -= 1;
        match self.eat('}') {
            true => Ok(value),
            false => Err(ExpandError::UnclosedBrace { at }),
        }
    }

    /// Reads a name: letters, digits and `_`; or digits; or one special character.
    fn name(&mut self) -> &'a str {
        let word = self.word;
        let rest = &word[self.position..];
        let length = match rest.chars().next() {
            Some(first) if first.is_ascii_digit() => rest.find(|c: char| !c.is_ascii_digit()),
            Some(first) if SPECIAL.contains(&first) => Some(1),
            _ => rest.find(|c: char| !c.is_alphanumeric() && c != '_'),
        };
        let length = length.unwrap_or(rest.len());
        self.position += length;
        &rest[..length]
    }

    /// The variable's value, recorded as undefined if there is none.
    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.look(name);
        if value.is_none() && self.live && self.known_undefined.insert(name.to_owned()) {
            self.undefined.push(name.to_owned());
        }
        value
    }

    /// The variable's value.
    fn look(&self, name: &str) -> Option<String> {
        match self.live {
            true => (self.lookup)(name),
            false => None,
        }
    }

    /// What stands between `${` and `}`; the latter is not consumed. `at` is where
    /// the `$` is.
    fn braced(&mut self, at: usize) -> Result<String, ExpandError> {
        if matches!(self.peek(), Some('{' | '}' | ':')) {
            return Err(ExpandError::NoName { at });
        }
        let name = self.name();
        let start = self.position;
        match self.peek() {
            None => Err(ExpandError::UnclosedBrace { at }),
            Some('}') => Ok(self.value(name).unwrap_or_default()),
            Some('#') => self.trimmed(name, End::Front),
            Some('%') => self.trimmed(name, End::Back),
            Some('/') => self.replaced(name, at),
            Some('-' | '+' | '?' | ':') => {
                let colon = self.eat(':');
                match self.next() {
                    Some('-') => self.default(name, colon),
                    Some('+') => self.alternative(name, colon),
                    Some('?') => self.required(name, colon, at),
                    None => Err(ExpandError::UnclosedBrace { at }),
                    Some(_) => Err(self.unknown_operator(start)),
                }
            }
            Some(_) => {
                self.next();
                Err(self.unknown_operator(start))
            }
        }
    }

    fn unknown_operator(&self, at: usize) -> ExpandError {
        let operator = self.word[at..self.position].to_owned();
        ExpandError::UnknownOperator { at, operator }
    }

    /// Expands the word of an operator; looks variables up only if it is `chosen`.
    fn operand(&mut self, chosen: bool) -> Result<String, ExpandError> {
        let was = self.live;
        self.live &= chosen;
        let output = self.sequence(&['}'], Escapes::Removed)?;
        self.live = was;
        Ok(output.text())
    }

    /// The value for `-`, `+` and `?`: with a colon, empty counts as unset.
    fn present(&self, name: &str, colon: bool) -> Option<String> {
        self.look(name).filter(|value| !colon || !value.is_empty())
    }

    fn default(&mut self, name: &str, colon: bool) -> Result<String, ExpandError> {
        let value = self.present(name, colon);
        let word = self.operand(value.is_none())?;
        Ok(value.unwrap_or(word))
    }

    fn alternative(&mut self, name: &str, colon: bool) -> Result<String, ExpandError> {
        let chosen = self.present(name, colon).is_some();
        let word = self.operand(chosen)?;
        Ok(if chosen { word } else { String::new() })
    }

    fn required(&mut self, name: &str, colon: bool, at: usize) -> Result<String, ExpandError> {
        let value = self.present(name, colon);
        let message = self.operand(value.is_none())?;
        if self.peek().is_none() {
            return Err(ExpandError::UnclosedBrace { at });
        }
        if value.is_some() || !self.live {
            return Ok(value.unwrap_or_default());
        }
        let default = match self.look(name) {
            Some(_) => "is not allowed to be empty",
            None => "is not allowed to be unset",
        };
        Err(ExpandError::Required {
            at,
            name: name.to_owned(),
            message: if message.is_empty() {
                default.to_owned()
            } else {
                message
            },
        })
    }

    /// `${v#p}`, `${v##p}`, `${v%p}`, `${v%%p}`.
    fn trimmed(&mut self, name: &str, end: End) -> Result<String, ExpandError> {
        let operator = if end == End::Front { '#' } else { '%' };
        self.next();
        let prefer = match self.eat(operator) {
            true => Prefer::Longest,
            false => Prefer::Shortest,
        };
        let pattern = self.pattern(&['}'])?;
        let at = self.position;
        let mut chars: Vec<char> = self.value(name).unwrap_or_default().chars().collect();
        self.fuel.burn(chars.len(), at)?;
        let fuel = (&mut self.fuel, at);
        if end == End::Front {
            let length = pattern.prefix(&chars, prefer, fuel)?;
            return Ok(chars[length.unwrap_or(0)..].iter().collect());
        }
        chars.reverse();
        let length = pattern.reversed().prefix(&chars, prefer, fuel)?;
        Ok(chars[length.unwrap_or(0)..].iter().rev().collect())
    }

    fn pattern(&mut self, stops: &[char]) -> Result<Pattern, ExpandError> {
        let at = self.position;
        let text = self.sequence(stops, Escapes::Kept)?.text();
        Pattern::parse(&text, self.escape, at)
    }

    /// `${v/p/r}`, `${v//p/r}`, and of buildah `${v/#p/r}`, `${v/%p/r}`, `${v/p}` (V7).
    fn replaced(&mut self, name: &str, at: usize) -> Result<String, ExpandError> {
        self.next();
        let place = match self.peek() {
            Some('/') => Place::All,
            Some('#') => Place::Front,
            Some('%') => Place::Back,
            _ => Place::First,
        };
        if place != Place::First {
            self.next();
        }
        let pattern = self.pattern(&['/', '}'])?;
        let replacement = match self.eat('/') {
            true => self.operand(true)?,
            false => String::new(),
        };
        if self.peek().is_none() {
            return Err(ExpandError::UnclosedBrace { at });
        }
        let value = self.value(name).unwrap_or_default();
        if pattern.is_empty() || value.is_empty() {
            return Ok(value);
        }
        self.replace_in(&value, &pattern, (&replacement, place))
    }

    /// `value` with the matches of `pattern` replaced.
    fn replace_in(
        &mut self,
        value: &str,
        pattern: &Pattern,
        (replacement, place): (&str, Place),
    ) -> Result<String, ExpandError> {
        let at = self.position;
        let mut chars: Vec<char> = value.chars().collect();
        let mut output = Output::default();
        if place == Place::Back {
            chars.reverse();
            let fuel = (&mut self.fuel, at);
            let matched = pattern
                .clone()
                .reversed()
                .prefix(&chars, Prefer::Longest, fuel)?;
            let Some(length) = matched else {
                return Ok(value.to_owned());
            };
            let kept: String = chars[length..].iter().rev().collect();
            return Ok(kept + replacement);
        }
        let mut start = 0;
        while start < chars.len() {
            let fuel = (&mut self.fuel, at);
            match pattern.prefix(&chars[start..], Prefer::Longest, fuel)? {
                Some(length) if length > 0 => {
                    self.push(&mut output, replacement, Splits::Yes)?;
                    start += length;
                    if place != Place::All {
                        break;
                    }
                }
                _ if place == Place::Front => break,
                _ => {
                    self.push_char(&mut output, chars[start], Splits::Yes)?;
                    start += 1;
                }
            }
        }
        let rest: String = chars[start..].iter().collect();
        Ok(output.text() + &rest)
    }
}

/// Which end of a value is trimmed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

/// Which matches are replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    All,
    Front,
    Back,
}
