//! The suite that every store function passes on both databases.
