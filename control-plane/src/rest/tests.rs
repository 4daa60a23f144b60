//! The REST API through its own router, on a database of each test.
