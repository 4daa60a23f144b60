//! Stage 5: what a request may use is set aside ahead of it. So far that is written down, in its open record; the
//! account's slot is taken by each pick and held by the attempt. What its key and its user may still use has its place
//! here.

use shared::{id::PriceId, model::split_account_type, price::Charge, usage::Usage};

use super::plan::Plan;

/// A request with what was set aside for it.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) plan: Plan,
    pub(super) reserved: Reserved,
}

/// The most that one attempt may come to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reserved {
    pub(super) usage: Usage,
    /// What its input is likely to be, in tokens.
    pub(super) likely_input: u64,
    /// Nothing where there is no price.
    pub(super) charge: Charge,
    pub(super) price: Option<PriceId>,
}

pub(super) fn reserve(plan: Plan) -> Reservation {
    let reserved = worst_case(&plan);
    Reservation { plan, reserved }
}

/// By the model that is asked for, as all accounts know it: what an account makes of it is known once it is picked.
fn worst_case(plan: &Plan) -> Reserved {
    let (admitted, worst) = (&plan.admitted, plan.bounds.worst);
    let snapshot = &admitted.caller.snapshot;
    let (_, asked) = split_account_type(&admitted.view.model);
    let name = snapshot.mappings.get(asked).map_or(asked, String::as_str);
    let usage = worst.at_least(None);
    let found = snapshot.prices.find(&[name, asked], admitted.call.started_at);
    let rate = snapshot.rate(admitted.caller.key.user_id);
    let charge = found.map(|found| found.price.at_most(usage.input, usage.output, rate)).unwrap_or_default();
    let price = found.map(|found| found.id);
    Reserved { usage, likely_input: worst.likely_input, charge, price }
}
