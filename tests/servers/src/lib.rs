//! Private servers for tests: MariaDB and Redis from the system's packages, on free ports or sockets in temp folders,
//! stopped when their value is dropped. Starting one panics where the machine lacks it: a test can't go on without.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test can't go on without its servers"
)]

mod child;
mod mariadb;
mod redis;

pub use child::{Child, free_port, wait_until};
pub use mariadb::MariaDb;
pub use redis::Redis;
