//! Stage 5: what a request may use is set aside ahead of it. So far that is an account's slot, which each pick takes and
//! the attempt holds; what its key and its user may still use has its place here.

use super::plan::Plan;

/// A request with what was set aside for it.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) plan: Plan,
}

pub(super) const fn reserve(plan: Plan) -> Reservation {
    Reservation { plan }
}
