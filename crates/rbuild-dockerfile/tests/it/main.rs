//! The corpus, hostile inputs, properties, and which statements of the spec and which checks
//! have a case.

mod corpus;
mod hostile;
mod properties;
mod rules;
mod spec;
mod trigger;
