//! Dockerfile text → instructions with spans and diagnostics.
//!
//! Pure: no files, no environment, no clock. Parsing cannot fail; what is not
//! understood is left out of the tree and reported.

pub mod ast;
mod diagnostic;

pub use ast::Dockerfile;
pub use diagnostic::{Diagnostic, Severity};
