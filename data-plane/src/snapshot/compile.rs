//! From what is held to what requests read.

use std::{collections::HashMap, time::Duration};

use proto::v1::Settings;
use shared::{money::Ppm, settings::MAX_DURATION};

use super::{
    domain::{Policy, Snapshot},
    hold::HeldResource,
    parse::{Parsed, Refusal},
};

/// The operators' settings; what they leave open is the node's own.
#[derive(Debug, Clone, Default)]
pub(super) struct PolicyOverrides(Settings);

impl PolicyOverrides {
    /// A time-out or a size of nothing would refuse every request: it is a mistake, not a wish.
    pub(super) fn new(settings: &Settings) -> Result<Self, Refusal> {
        let positive = [
            (settings.first_byte_timeout_ms, "the first-byte time-out"),
            (settings.idle_timeout_ms, "the idle time-out"),
            (settings.deadline_ms, "the deadline"),
            (settings.plain_deadline_ms, "the deadline of plain answers"),
            (settings.plain_attempt_timeout_ms, "the time-out of an attempt at a plain answer"),
            (settings.max_answer_bytes, "the largest answer that is read whole"),
            (settings.max_frame_bytes, "the largest frame"),
            (settings.max_stream_ms, "the longest stream"),
            (settings.max_body_bytes, "the largest body"),
        ];
        match positive.into_iter().find(|(value, _)| *value == Some(0)) {
            Some((_, field)) => Err(Refusal::Range(field)),
            None => Ok(Self(*settings)),
        }
    }

    fn over(&self, own: &Policy) -> Policy {
        let duration = |stated: Option<u64>, own: Duration| {
            stated.map_or(own, |millis| Duration::from_millis(millis).min(MAX_DURATION))
        };
        let size = |stated: Option<u64>, own: usize| {
            stated.map_or(own, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
        };
        Policy {
            first_byte: duration(self.0.first_byte_timeout_ms, own.first_byte),
            idle: duration(self.0.idle_timeout_ms, own.idle),
            deadline: duration(self.0.deadline_ms, own.deadline),
            plain_deadline: duration(self.0.plain_deadline_ms, own.plain_deadline),
            plain_attempt: duration(self.0.plain_attempt_timeout_ms, own.plain_attempt),
            max_stream: duration(self.0.max_stream_ms, own.max_stream),
            commit_hold: duration(self.0.commit_hold_ms, own.commit_hold),
            max_body: self.0.max_body_bytes.unwrap_or(own.max_body),
            body_idle: own.body_idle,
            drain: duration(self.0.drain_timeout_ms, own.drain),
            plain_drain: duration(self.0.plain_drain_timeout_ms, own.plain_drain),
            max_answer: size(self.0.max_answer_bytes, own.max_answer),
            max_frame: size(self.0.max_frame_bytes, own.max_frame),
            served_model_names: own.served_model_names,
            remember_reasoning: own.remember_reasoning,
            cache_marks: own.cache_marks,
            retries: own.retries.clone(),
            cut_revoked_streams: self.0.cut_revoked_streams.unwrap_or(own.cut_revoked_streams),
        }
    }
}

/// Makes the snapshot of `resources`, with `own` where the operators set nothing.
pub(super) fn compile<'a>(resources: impl Iterator<Item = &'a HeldResource>, own: &Policy) -> Snapshot {
    let mut snapshot = Snapshot { policy: own.clone(), ..Snapshot::default() };
    let mut keys = Vec::new();
    let mut users = HashMap::new();
    let mut routes = Vec::new();
    for held in resources {
        let Some(parsed) = &held.parsed else { continue };
        if let Parsed::Account(account) = parsed {
            snapshot.accounts.push(account.clone());
        }
        if !held.received.enabled {
            continue;
        }
        match parsed {
            Parsed::Account(_) | Parsed::AccountGroup | Parsed::Unknown => {}
            Parsed::User(id, rate) => _ = users.insert(*id, *rate),
            Parsed::ApiKey(hash, key) => keys.push((*hash, key.clone())),
            Parsed::ModelRoute(position, route) => routes.push((*position, route.clone())),
            Parsed::ModelMapping { from, to } => _ = snapshot.mappings.insert(from.clone(), to.clone()),
            Parsed::Model(model) => snapshot.models.push(model.clone()),
            Parsed::Settings(overrides) => snapshot.policy = overrides.over(own),
        }
    }
    snapshot.accounts.sort_by_key(|account| (account.priority, account.id));
    // Stable: routes of one position stay in the order of their ids.
    routes.sort_by_key(|(position, _)| *position);
    snapshot.routes = routes.into_iter().map(|(_, route)| route).collect();
    snapshot.models.sort_by(|one, other| one.name.cmp(&other.name));
    snapshot.keys =
        keys.into_iter().filter(|(_, key)| users.contains_key(&key.user_id)).collect::<HashMap<_, _>>();
    for model in &snapshot.models {
        model.prices.iter().for_each(|dated| snapshot.prices.add(&model.name, *dated));
    }
    users.retain(|_, rate| *rate != Ppm::ONE);
    snapshot.rates = users;
    snapshot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operators_leave_open_is_the_nodes_own() {
        let own = Policy { idle: Duration::from_secs(7), ..Policy::default() };
        let stated =
            Settings { deadline_ms: Some(1_500), cut_revoked_streams: Some(true), ..Settings::default() };
        let policy = PolicyOverrides::new(&stated).unwrap().over(&own);
        let expected = Policy { deadline: Duration::from_millis(1_500), cut_revoked_streams: true, ..own };
        assert_eq!(policy, expected);
    }
}
