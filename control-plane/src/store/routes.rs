//! Rows of routes.
