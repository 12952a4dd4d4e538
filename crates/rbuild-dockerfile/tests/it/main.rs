//! The corpus, hostile inputs, properties, and which checks have a case.

mod corpus;
mod hostile;
mod properties;
mod rules;
mod trigger;
