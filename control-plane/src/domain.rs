//! What rows may hold: input is parsed here, once, into types that cannot be wrong.

pub mod account;
pub mod bootstrap;
pub mod fault;
pub mod key_status;
pub mod labels;
pub mod model_route;
pub mod name;
pub mod node_health;
pub mod password;
pub mod patch;

pub mod public_url;
pub mod refresh;
pub mod role;
pub mod user;
