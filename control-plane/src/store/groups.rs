//! Rows of groups.
