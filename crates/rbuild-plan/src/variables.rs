//! What `$name` means at one place of the file.
//!
//! Knows: the order in which names are looked up, and what to say about unknown ones.
//! Does not know: the syntax of `${…}` ([`rbuild_dockerfile::expand`]), nor who set a variable.
//!
//! Invariant: `ENV` hides an `ARG` of the same name, whichever comes first (A4).
//! Spec: dockerfile.md 1.4.

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{Span, Word};
use rbuild_dockerfile::expand::{ExpandError, Expanded, expand, expand_body, expand_words};

use rbuild_dockerfile::lint::rules;

use crate::args::Args;
use rbuild_dockerfile::suggest::did_you_mean;

/// Whether there may be variables that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// What is not known is not set.
    Complete,
    /// The base image is not known, and may set more.
    Partial,
}

/// The variables that one instruction sees: those from before it (V1).
pub(crate) struct Variables<'a> {
    /// Escape character of the file (D3).
    pub escape: char,
    /// The image's `Env` so far, `NAME=value`; empty where only ARGs are visible (F4).
    pub env: &'a [String],
    /// ARGs in scope.
    pub args: &'a Args,
    /// Whether these are all.
    pub certainty: Certainty,
}

impl Variables<'_> {
    /// `word` with quotes removed and variables replaced; `None` if that is
    /// impossible, which is then among `found`. So are unknown names (V2).
    ///
    /// Where the base image may set more, a word with an unknown name is `None` too: there is
    /// nothing to say about it.
    pub(crate) fn expand(&self, word: &Word, found: &mut Vec<Diagnostic>) -> Option<String> {
        let expanded = expand(&word.value, self.escape, &|name| self.value(name));
        self.report(expanded, word, found)
    }

    /// The body of a heredoc with variables replaced, quotes kept (H4).
    pub(crate) fn expand_body(&self, body: &Word, found: &mut Vec<Diagnostic>) -> Option<String> {
        let expanded = expand_body(&body.value, &|name| self.value(name));
        self.report(expanded, body, found)
    }

    fn report(
        &self,
        expanded: Result<Expanded, ExpandError>,
        word: &Word,
        found: &mut Vec<Diagnostic>,
    ) -> Option<String> {
        match expanded {
            Ok(expanded)
                if self.certainty == Certainty::Partial && !expanded.undefined.is_empty() =>
            {
                None
            }
            Err(ExpandError::Required { name, .. })
                if self.certainty == Certainty::Partial && self.value(&name).is_none() =>
            {
                None
            }
            Ok(expanded) => {
                let names = expanded.undefined.iter();
                let unknown = names.filter(|name| !self.args.declares(name));
                found.extend(unknown.map(|name| self.undefined(name, &word.span)));
                Some(expanded.text)
            }
            Err(error) => {
                let span = word.span_at(error.offset());
                found.push(Diagnostic::error(span, error.to_string()));
                None
            }
        }
    }

    /// Like [`Self::expand`], and the result is split into words again (V8).
    pub(crate) fn expand_words(
        &self,
        word: &Word,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Vec<String>> {
        self.expand(word, found)?;
        // What is wrong with the word was reported just now.
        expand_words(&word.value, self.escape, &|name| self.value(name)).ok()
    }

    fn value(&self, name: &str) -> Option<String> {
        env_value(self.env, name)
            .or_else(|| self.args.value(name))
            .map(str::to_owned)
    }

    fn undefined(&self, name: &str, span: &Span) -> Diagnostic {
        let env = self.env.iter().filter_map(|entry| entry.split_once('='));
        let names = env.map(|(name, _)| name).chain(self.args.names());
        Diagnostic {
            hint: did_you_mean(name, names),
            ..Diagnostic::warning(
                span.clone(),
                format!("`{name}` is not set, so it expands to nothing"),
            )
            .of_rule(rules::UNDEFINED_VAR)
        }
    }
}

/// The value of `name` in `env`, entries `NAME=value`; the last one wins.
pub(crate) fn env_value<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter()
        .rev()
        .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
}
