//! Who asks.

use std::net::IpAddr;

use shared::id::{SessionId, UserId};

use super::refusal::Refusal;
use crate::words::role::Role;

/// The person behind a call.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub user: UserId,
    pub role: Role,
    pub session: SessionId,
    /// `None`: it is not known.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// Things of others are as good as absent for who may not see them.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn demand_seeing(&self, owner: UserId) -> Result<(), Refusal> {
        if owner == self.user || self.role.reads_all() { Ok(()) } else { Err(Refusal::NotFound) }
    }

    /// Things of others change only those who manage people.
    ///
    /// # Errors
    /// `Forbidden`, or `NotFound` for who may not even see it.
    pub fn demand_changing(&self, owner: UserId) -> Result<(), Refusal> {
        if owner == self.user || self.role.manages_users() {
            return Ok(());
        }
        self.demand_seeing(owner)?;
        Err(Refusal::Forbidden)
    }
}
