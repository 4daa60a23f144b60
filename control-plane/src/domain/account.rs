//! Accounts of the ten types, from JSON to what may be stored.
