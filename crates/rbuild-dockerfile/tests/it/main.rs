//! The corpus, hostile inputs, properties, and which statements of the spec have a case.

mod corpus;
mod hostile;
mod properties;
mod spec;
mod trigger;
