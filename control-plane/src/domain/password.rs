//! Hashing of passwords.
