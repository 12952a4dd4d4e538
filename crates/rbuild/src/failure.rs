//! Why a command did not succeed, and with which status it ends.

use std::{error::Error, io, iter::successors, process::ExitCode};

use crate::report;

/// The end of a command that did not succeed.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    error: Option<Box<dyn Error>>,
    hint: Option<String>,
}

impl Failure {
    /// Everything is said already.
    pub fn said(status: u8) -> Self {
        Self {
            status,
            error: None,
            hint: None,
        }
    }

    /// A message without a deeper reason.
    pub fn message(text: impl Into<String>) -> Self {
        Self::from(Message(text.into()))
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with another exit status.
    #[must_use]
    pub fn with_status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// The same as the cause of what could not be done.
    #[must_use]
    pub fn within(self, attempt: String) -> Self {
        let wrap = |source| Box::new(Attempt { attempt, source }) as Box<dyn Error>;
        Self {
            error: self.error.map(wrap),
            ..self
        }
    }

    /// Whether it came about because nobody reads any more what is written.
    pub fn is_of_broken_pipe(&self) -> bool {
        successors(self.error.as_deref(), |&error| error.source()).any(is_broken_pipe)
    }

    /// Tells the user; returns the exit status.
    pub fn report(self) -> ExitCode {
        // Nobody reads our output any more: say nothing, as a program that SIGPIPE ends.
        if self.error.as_deref().is_some_and(is_broken_pipe) {
            return ExitCode::from(141);
        }
        if let Some(error) = &self.error {
            report::failure(
                error.as_ref(),
                self.hint.as_deref(),
                &mut io::stderr().lock(),
            );
        }
        ExitCode::from(self.status)
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            status: 1,
            hint: hint(&error),
            error: Some(Box::new(error)),
        }
    }
}

/// The first advice that `error` or one of its causes has.
pub fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    successors(Some(error), |&cause| cause.source()).find_map(|cause| {
        None.or_else(|| of(cause, rbuild_sandbox::Error::hint))
            .or_else(|| of(cause, rbuild_engine::StepError::hint))
            .or_else(|| of(cause, rbuild_store::Error::hint))
            .or_else(|| of(cause, rbuild_http::Error::hint))
            .or_else(|| of(cause, rbuild_sys::Error::hint))
            .or_else(|| of(cause, rbuild_oci::Error::hint))
            .or_else(|| of(cause, rbuild_registry::Error::hint))
            .or_else(|| of(cause, rbuild_engine::Error::hint))
            .or_else(|| of(cause, rbuild_export::Error::hint))
    })
}

/// The advice of `cause`, if it is an `E`.
fn of<E: Error + 'static, Hint: Into<String>>(
    cause: &(dyn Error + 'static),
    hint: impl Fn(&E) -> Option<Hint>,
) -> Option<String> {
    cause.downcast_ref().and_then(hint).map(Into::into)
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Message(String);

/// `cannot …`, and why.
#[derive(Debug, thiserror::Error)]
#[error("{attempt}")]
struct Attempt {
    attempt: String,
    source: Box<dyn Error>,
}
