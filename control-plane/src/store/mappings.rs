//! Rows of mappings.
