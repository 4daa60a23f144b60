//! Rows of settings.
