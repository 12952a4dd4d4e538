//! Dockerfile text → instructions with spans and diagnostics.
//!
//! Pure: no files, no environment, no clock. Parsing cannot fail; what is not
//! understood is left out of the tree and reported.
//!
//! [`parse`] makes the tree, [`lint`] finds what is better not done, [`expand`] turns
//! its words into text once the variables are known, [`print`] writes it as a
//! Dockerfile again, [`dump`] shows every node and place.

pub mod ast;
mod comma;
mod diagnostic;
mod directive;
mod dump;
pub mod expand;
mod fragment;
mod keyword;
mod line;
pub mod lint;
pub mod mount;
mod parse;
mod print;
pub mod suggest;

pub use ast::Dockerfile;
pub use comma::{Field, comma_separated};
pub use diagnostic::{Diagnostic, Severity};
pub use directive::check::parse as parse_checks;
pub use dump::dump;
pub use parse::{parse, parse_trigger};
pub use print::print;
