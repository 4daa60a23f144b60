//! Failures of logins.
