//! The corpus, hostile inputs, and properties.

mod corpus;
mod hostile;
mod properties;
mod trigger;
