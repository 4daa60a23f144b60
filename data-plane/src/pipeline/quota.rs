//! Stage 3: what the request needs is set aside. So far that is a slot of the account that will serve it, which the
//! picker takes as it picks; keys and users have no limits yet.

use super::filter::Admitted;

/// An admitted request with what was set aside for it.
#[derive(Debug)]
pub struct Reservation {
    pub admitted: Admitted,
}

pub(super) const fn reserve(admitted: Admitted) -> Reservation {
    Reservation { admitted }
}
