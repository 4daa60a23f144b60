//! A store on a fresh database, for tests.
