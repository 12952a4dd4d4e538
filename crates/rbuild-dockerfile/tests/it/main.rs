//! The corpus, hostile inputs and properties of the parser and the expander.

mod corpus;
mod hostile;
mod properties;
