//! Shell patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?`, literals.
//!
//! Knows: matching without backtracking, in steps that are counted.
//! Does not know: variables.
//!
//! Spec: dockerfile.md V6.

use super::error::ExpandError;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<Token>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Any,
}

/// Which of several matches counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefer {
    Shortest,
    Longest,
}

/// How much work is left; shared by everything in one word.
#[derive(Debug)]
pub(super) struct Fuel(pub u64);

impl Fuel {
    /// Uses up `steps`.
    ///
    /// # Errors
    /// [`ExpandError::TooCostly`] if there are not as many left.
    pub(super) fn burn(&mut self, steps: usize, at: usize) -> Result<(), ExpandError> {
        let left = self.0.checked_sub(steps as u64);
        self.0 = left.ok_or(ExpandError::TooCostly { at })?;
        Ok(())
    }
}

impl Pattern {
    /// Compiles `text`, which stands at `at` of the word and still has its escapes.
    ///
    /// # Errors
    /// [`ExpandError::PatternEscape`] for an escape that is not one.
    pub(super) fn parse(text: &str, escape: char, at: usize) -> Result<Self, ExpandError> {
        let mut tokens = Vec::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            tokens.push(match char {
                '*' if tokens.last() == Some(&Token::Any) => continue,
                '*' => Token::Any,
                '?' => Token::One,
                _ if char == escape => match chars.next() {
                    Some(next) if next == escape || "*?/}".contains(next) => Token::Literal(next),
                    next => {
                        let escape = char.to_string() + &String::from_iter(next);
                        return Err(ExpandError::PatternEscape { at, escape });
                    }
                },
                _ => Token::Literal(char),
            });
        }
        Ok(Self(tokens))
    }

    /// Whether it is the empty pattern.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same pattern for reversed text.
    pub(super) fn reversed(mut self) -> Self {
        self.0.reverse();
        self
    }

    /// How many characters at the start of `value` match; `None` if none do so.
    ///
    /// Follows all ways through the pattern at once, so the number of steps is at
    /// most the product of both lengths.
    ///
    /// # Errors
    /// [`ExpandError::TooCostly`] if `fuel` runs out.
    pub(super) fn prefix(
        &self,
        value: &[char],
        prefer: Prefer,
        (fuel, at): (&mut Fuel, usize),
    ) -> Result<Option<usize>, ExpandError> {
        let mut best = None;
        let mut states = vec![0];
        for count in 0..=value.len() {
            states = self.past_stars(&states);
            fuel.burn(states.len() + 1, at)?;
            if states.last() == Some(&self.0.len()) {
                best = Some(count);
                if prefer == Prefer::Shortest || self.0.is_empty() {
                    break;
                }
            }
            let Some(char) = value.get(count) else { break };
            states = self.step(&states, *char);
            if states.is_empty() {
                break;
            }
        }
        Ok(best)
    }

    /// `states` and those reached by letting `*` match nothing; sorted, unique.
    fn past_stars(&self, states: &[usize]) -> Vec<usize> {
        let mut reached = Vec::with_capacity(states.len() + 1);
        for &state in states {
            if reached.last() != Some(&state) {
                reached.push(state);
            }
            if self.0.get(state) == Some(&Token::Any) {
                reached.push(state + 1);
            }
        }
        reached
    }

    /// The states after `char`; sorted.
    fn step(&self, states: &[usize], char: char) -> Vec<usize> {
        let mut next = Vec::with_capacity(states.len());
        for &state in states {
            let target = match self.0.get(state) {
                Some(Token::Any) => state,
                Some(Token::One) => state + 1,
                Some(Token::Literal(literal)) if *literal == char => state + 1,
                _ => continue,
            };
            if next.last() != Some(&target) {
                next.push(target);
            }
        }
        next
    }
}
