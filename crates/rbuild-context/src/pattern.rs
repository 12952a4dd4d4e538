//! Wildcards: one matcher for ignore files and for the sources of COPY.
//!
//! A pattern is compiled to a list of tokens, which runs as a nondeterministic automaton: time is
//! at most tokens × length, whatever the pattern. Text is UTF-8; a byte that is not counts as one
//! character of its own.
//!
//! Go, path/filepath.Match and moby/patternmatcher define the languages. One deviation: a class
//! never matches a slash.

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    /// The characters before the first wildcard.
    literal: Vec<u8>,
}

/// Which language a pattern is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Of ignore files: `**` is any number of components.
    Ignore,
    /// Of one component of a source: `**` is `*`.
    Component,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Exactly this character.
    One(u32),
    /// Any character but a slash.
    AnyOne,
    /// One of these ranges, or none of them.
    Class {
        ranges: Vec<(u32, u32)>,
        negated: bool,
    },
    /// Any number of characters but slashes.
    AnyName,
    /// Any number of characters.
    Anything,
    /// Nothing, or anything up to a slash; the second half of it is the next token.
    MaybeDirs,
    /// Anything up to a slash.
    UpToSlash,
}

const SLASH: u32 = b'/' as u32;

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub(crate) fn compile(text: &[u8], dialect: Dialect) -> Result<Self, &'static str> {
        let units: Vec<u32> = Units(text).collect();
        let mut rest = &units[..];
        let mut tokens = Vec::new();
        let star = u32::from(b'*');
        while let Some((&unit, after)) = rest.split_first() {
            rest = after;
            if unit == star && dialect == Dialect::Ignore && after.first() == Some(&star) {
                rest = double_star(after, &mut tokens);
            } else if unit == star {
                tokens.push(Token::AnyName);
            } else if unit == u32::from(b'?') {
                tokens.push(Token::AnyOne);
            } else if unit == u32::from(b'[') {
                let (class, after) = class(after)?;
                tokens.push(class);
                rest = after;
            } else if unit == u32::from(b'\\') {
                let (&escaped, after) = rest.split_first().ok_or("ends in a backslash")?;
                tokens.push(Token::One(escaped));
                rest = after;
            } else {
                tokens.push(Token::One(unit));
            }
        }
        let literal = tokens.iter().map_while(|token| match token {
            Token::One(unit) => u8::try_from(*unit).ok().filter(u8::is_ascii),
            _ => None,
        });
        Ok(Self {
            literal: literal.collect(),
            tokens,
        })
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        if !text.starts_with(&self.literal) {
            return false;
        }
        if self.is_literal() {
            return text.len() == self.literal.len();
        }
        let start = self.literal.len();
        let mut now = vec![false; self.tokens.len() + 1];
        let mut next = now.clone();
        self.reach(start, &mut now);
        for unit in Units(&text[start..]) {
            next.fill(false);
            for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| now[*at]) {
                self.step((at, token), unit, &mut next);
            }
            std::mem::swap(&mut now, &mut next);
        }
        now[self.tokens.len()]
    }

    /// Whether something below the directory `dir` could match, though `dir` itself does not.
    pub(crate) fn may_match_below(&self, dir: &[u8]) -> bool {
        if self.literal.len() > dir.len() {
            return self.literal.starts_with(dir) && self.literal[dir.len()] == b'/';
        }
        dir.starts_with(&self.literal) && !self.is_literal()
    }

    fn is_literal(&self) -> bool {
        self.literal.len() == self.tokens.len()
    }

    /// Marks what can be reached from token `at` without a character.
    fn reach(&self, at: usize, states: &mut [bool]) {
        let mut at = at;
        while !std::mem::replace(&mut states[at], true) {
            match self.tokens.get(at) {
                Some(Token::AnyName | Token::Anything) => at += 1,
                Some(Token::MaybeDirs) => {
                    states[at + 1] = true;
                    at += 2;
                }
                _ => break,
            }
        }
    }

    /// Marks what `token`, at position `at`, leads to with the character `unit`.
    fn step(&self, (at, token): (usize, &Token), unit: u32, states: &mut [bool]) {
        match token {
            Token::One(one) if *one == unit => self.reach(at + 1, states),
            Token::AnyOne if unit != SLASH => self.reach(at + 1, states),
            Token::Class { ranges, negated } if unit != SLASH => {
                let within = ranges
                    .iter()
                    .any(|&(low, high)| low <= unit && unit <= high);
                if within != *negated {
                    self.reach(at + 1, states);
                }
            }
            Token::AnyName if unit != SLASH => self.reach(at, states),
            Token::Anything => self.reach(at, states),
            Token::UpToSlash => {
                states[at] = true;
                if unit == SLASH {
                    self.reach(at + 1, states);
                }
            }
            _ => {}
        }
    }
}

/// Compiles `**`, of which `after` is the second half on; returns what follows it.
fn double_star<'a>(after: &'a [u32], tokens: &mut Vec<Token>) -> &'a [u32] {
    let first = tokens.is_empty();
    let mut rest = &after[1..];
    let slash = rest.first() == Some(&SLASH);
    if slash {
        rest = &rest[1..];
    }
    let plain = |unit: &u32| !b"*?[\\".iter().any(|&special| u32::from(special) == *unit);
    if rest.is_empty() || (first && !slash && rest.iter().all(plain)) {
        tokens.push(Token::Anything);
    } else {
        tokens.extend([Token::MaybeDirs, Token::UpToSlash]);
    }
    rest
}

/// Compiles a class, of which `rest` is all after `[`; returns what follows it.
fn class(rest: &[u32]) -> Result<(Token, &[u32]), &'static str> {
    const OPEN: &str = "has a class that does not end";
    let (negated, mut rest) = match rest.split_first() {
        Some((&unit, after)) if unit == u32::from(b'^') => (true, after),
        _ => (false, rest),
    };
    let mut ranges = Vec::new();
    loop {
        let (&unit, after) = rest.split_first().ok_or(OPEN)?;
        if unit == u32::from(b']') && !ranges.is_empty() {
            return Ok((Token::Class { ranges, negated }, after));
        }
        let (low, after) = class_member(rest)?;
        rest = after;
        let mut high = low;
        if rest.first() == Some(&u32::from(b'-')) {
            (high, rest) = class_member(&rest[1..])?;
        }
        ranges.push((low, high));
    }
}

fn class_member(rest: &[u32]) -> Result<(u32, &[u32]), &'static str> {
    const WRONG: &str = "has a malformed class";
    match rest.split_first() {
        Some((&unit, _)) if unit == u32::from(b'-') || unit == u32::from(b']') => Err(WRONG),
        Some((&unit, after)) if unit == u32::from(b'\\') => after
            .split_first()
            .map(|(&unit, after)| (unit, after))
            .ok_or(WRONG),
        Some((&unit, after)) => Ok((unit, after)),
        None => Err("has a class that does not end"),
    }
}

/// The characters of a text that may not be UTF-8.
struct Units<'a>(&'a [u8]);

impl Iterator for Units<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (&first, rest) = self.0.split_first()?;
        if first.is_ascii() {
            self.0 = rest;
            return Some(first.into());
        }
        let longest = &self.0[..self.0.len().min(4)];
        let valid = match std::str::from_utf8(longest) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&longest[..error.valid_up_to()]).unwrap_or(""),
        };
        match valid.chars().next() {
            Some(char) => {
                self.0 = &self.0[char.len_utf8()..];
                Some(char.into())
            }
            None => {
                self.0 = rest;
                Some(0x11_0000 + u32::from(first)) // beyond all characters
            }
        }
    }
}

#[cfg(test)]
mod tests;
