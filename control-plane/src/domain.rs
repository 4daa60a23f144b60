//! What rows may hold: input is parsed here, once, into types that cannot be wrong.

pub mod account;
pub mod account_group;
pub mod agent;
pub mod api_key;
pub mod fault;
pub mod known_browser;
pub mod labels;
pub mod model_route;
pub mod name;
pub mod password;
pub mod patch;
pub mod proof;
pub mod proxy_test;
pub mod public_url;
pub mod refresh;
pub mod settings_input;
pub mod tokens;
pub mod user;
