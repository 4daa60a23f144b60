//! Logins that can be refreshed and revoked.
