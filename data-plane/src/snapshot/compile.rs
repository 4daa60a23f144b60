//! From what is held to what requests read.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use proto::v1::Settings;
use shared::settings::MAX_DURATION;

use super::{
    domain::{Limits, Snapshot},
    hold::HeldResource,
    parse::{Parsed, Refusal},
};

/// The operators' settings; what they leave open is the node's own.
#[derive(Debug, Clone, Default)]
pub(super) struct LimitOverrides(Settings);

impl LimitOverrides {
    /// A time-out or a size of nothing would refuse every request: it is a mistake, not a wish.
    pub(super) fn new(settings: &Settings) -> Result<Self, Refusal> {
        let positive = [
            (settings.first_byte_timeout_ms, "the first-byte time-out"),
            (settings.idle_timeout_ms, "the idle time-out"),
            (settings.deadline_ms, "the deadline"),
            (settings.max_stream_ms, "the longest stream"),
            (settings.max_body_bytes, "the largest body"),
        ];
        match positive.into_iter().find(|(value, _)| *value == Some(0)) {
            Some((_, field)) => Err(Refusal::Range(field)),
            None => Ok(Self(*settings)),
        }
    }

    fn over(&self, own: &Limits) -> Limits {
        let duration = |stated: Option<u64>, own: Duration| {
            stated.map_or(own, |millis| Duration::from_millis(millis).min(MAX_DURATION))
        };
        Limits {
            first_byte: duration(self.0.first_byte_timeout_ms, own.first_byte),
            idle: duration(self.0.idle_timeout_ms, own.idle),
            deadline: duration(self.0.deadline_ms, own.deadline),
            max_stream: duration(self.0.max_stream_ms, own.max_stream),
            commit_hold: duration(self.0.commit_hold_ms, own.commit_hold),
            max_body: self.0.max_body_bytes.unwrap_or(own.max_body),
            body_idle: own.body_idle,
            drain: duration(self.0.drain_timeout_ms, own.drain),
            served_model_names: own.served_model_names,
            remember_reasoning: own.remember_reasoning,
            cache_marks: own.cache_marks,
            retries: own.retries.clone(),
            cut_revoked_streams: self.0.cut_revoked_streams.unwrap_or(own.cut_revoked_streams),
        }
    }
}

/// Makes the snapshot of `resources`, with `own` where the operators set nothing.
pub(super) fn compile<'a>(resources: impl Iterator<Item = &'a HeldResource>, own: &Limits) -> Snapshot {
    let mut snapshot = Snapshot { limits: own.clone(), ..Snapshot::default() };
    let mut keys = Vec::new();
    let mut users = HashSet::new();
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
            Parsed::User(id) => _ = users.insert(*id),
            Parsed::ApiKey(hash, key) => keys.push((*hash, key.clone())),
            Parsed::ModelRoute(position, route) => routes.push((*position, route.clone())),
            Parsed::ModelMapping { from, to } => _ = snapshot.mappings.insert(from.clone(), to.clone()),
            Parsed::Model(model) => snapshot.models.push(model.clone()),
            Parsed::Settings(overrides) => snapshot.limits = overrides.over(own),
        }
    }
    snapshot.accounts.sort_by_key(|account| (account.priority, account.id));
    // Stable: routes of one position stay in the order of their ids.
    routes.sort_by_key(|(position, _)| *position);
    snapshot.routes = routes.into_iter().map(|(_, route)| route).collect();
    snapshot.models.sort_by(|one, other| one.name.cmp(&other.name));
    snapshot.keys =
        keys.into_iter().filter(|(_, key)| users.contains(&key.user_id)).collect::<HashMap<_, _>>();
    snapshot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operators_leave_open_is_the_nodes_own() {
        let own = Limits { idle: Duration::from_secs(7), ..Limits::default() };
        let stated =
            Settings { deadline_ms: Some(1_500), cut_revoked_streams: Some(true), ..Settings::default() };
        let limits = LimitOverrides::new(&stated).unwrap().over(&own);
        let expected = Limits { deadline: Duration::from_millis(1_500), cut_revoked_streams: true, ..own };
        assert_eq!(limits, expected);
    }
}
