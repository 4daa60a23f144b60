//! Model routes and mappings.
