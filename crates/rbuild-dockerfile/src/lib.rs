//! Dockerfile text → instructions with spans and diagnostics.
//!
//! Pure: no files, no environment, no clock. Parsing cannot fail; what is not
//! understood is left out of the tree and reported.
//!
//! [`parse`] makes the tree, [`expand`] turns its words into text once the
//! variables are known, [`dump`] prints it.

pub mod ast;
mod diagnostic;
mod directive;
mod dump;
pub mod expand;
mod fragment;
mod keyword;
mod line;
mod parse;
pub mod suggest;

pub use ast::Dockerfile;
pub use diagnostic::{Diagnostic, Severity};
pub use dump::dump;
pub use parse::parse;
