//! Rows of models.
