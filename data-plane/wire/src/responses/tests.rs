//! What holds for all that this wire reads and writes.
