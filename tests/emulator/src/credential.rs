//! What the emulator knows about one credential: its script, its counters, the calls it made.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::Instant};

use crate::{
    credential::record::{CallRecord, Recording},
    memory::{Kept, KeptAnswers},
    provider::Profile,
    script::{Behaviour, ScriptError},
    template::Template,
};

pub(crate) mod in_flight;
pub(crate) mod record;

/// The most behaviours that wait for their requests.
pub(crate) const MAX_QUEUE: usize = 10_000;
/// The most request bytes kept for one credential.
const MAX_RECORDED_BYTES: usize = 64 << 20;
/// Prepared answers kept for one credential; a benchmark needs a few.
const MAX_TEMPLATES: usize = 32;
/// The longest request whose answer is kept prepared.
const MAX_TEMPLATE_REQUEST: usize = 64 << 10;

/// One credential's script, counters and calls. Cheap to hold; the same one for everybody who asks for the key.
#[derive(Debug)]
pub struct Credential {
    key: String,
    keep: usize,
    state: Mutex<State>,
    changed: Notify,
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    profile: Profile,
    default: Arc<Behaviour>,
    queue: VecDeque<Arc<Behaviour>>,
    counters: Counters,
    records: VecDeque<Arc<Recording>>,
    recorded_bytes: usize,
    /// Goes up with each release.
    releases: u64,
    /// Answers of the default behaviour, by path and body.
    templates: HashMap<(String, Bytes), Arc<Template>>,
    kept: KeptAnswers,
}

/// Counts since the credential was first seen or reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Requests read in full.
    pub requests: u64,
    /// Of these, still being answered.
    pub in_flight: u64,
    /// Of these in flight, waiting at a hold point.
    pub held: u64,
    /// Answered to the end that the script gave them, be it a clean one or a cut.
    pub served: u64,
    /// Given up by the client before that.
    pub disconnects: u64,
    /// Answers begun, by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Behaviours still waiting for a request.
    pub queued: u64,
}

/// What to wait for; all that is set must hold at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Condition {
    /// At least so many requests so far.
    pub requests: Option<u64>,
    /// At least so many at this moment.
    pub in_flight: Option<u64>,
    /// At least so many at a hold point at this moment.
    pub held: Option<u64>,
    pub served: Option<u64>,
    pub disconnects: Option<u64>,
    /// Nothing in flight.
    pub idle: bool,
}

impl Condition {
    #[must_use]
    pub fn requests(count: u64) -> Self {
        Self { requests: Some(count), ..Self::default() }
    }

    #[must_use]
    pub fn in_flight(count: u64) -> Self {
        Self { in_flight: Some(count), ..Self::default() }
    }

    #[must_use]
    pub fn held(count: u64) -> Self {
        Self { held: Some(count), ..Self::default() }
    }

    #[must_use]
    pub fn served(count: u64) -> Self {
        Self { served: Some(count), ..Self::default() }
    }

    #[must_use]
    pub fn disconnects(count: u64) -> Self {
        Self { disconnects: Some(count), ..Self::default() }
    }

    #[must_use]
    pub fn idle() -> Self {
        Self { idle: true, ..Self::default() }
    }

    fn holds(&self, counters: &Counters) -> bool {
        let reached = |wanted: Option<u64>, count: u64| wanted.is_none_or(|wanted| count >= wanted);
        reached(self.requests, counters.requests)
            && reached(self.in_flight, counters.in_flight)
            && reached(self.held, counters.held)
            && reached(self.served, counters.served)
            && reached(self.disconnects, counters.disconnects)
            && (!self.idle || counters.in_flight == 0)
    }
}

/// The condition did not come true in time; these are the counters at the end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not reached in time: {0:?}")]
pub struct NotReached(pub Counters);

impl Credential {
    pub(crate) fn new(key: &str, keep: usize) -> Self {
        Self {
            key: key.to_owned(),
            keep,
            state: Mutex::default(),
            changed: Notify::new(),
            released: Notify::new(),
        }
    }

    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What every request gets that finds the queue empty.
    pub fn set_default(&self, behaviour: Behaviour) -> Result<(), ScriptError> {
        behaviour.check()?;
        let mut state = self.state.lock();
        state.default = Arc::new(behaviour);
        state.templates.clear();
        Ok(())
    }

    /// What the next request gets, after those already queued.
    pub fn next(&self, behaviour: Behaviour) -> Result<(), ScriptError> {
        self.next_all(vec![behaviour])
    }

    /// As [`Self::next`], all or none.
    pub fn next_all(&self, behaviours: Vec<Behaviour>) -> Result<(), ScriptError> {
        behaviours.iter().try_for_each(Behaviour::check)?;
        let mut state = self.state.lock();
        if state.queue.len() + behaviours.len() > MAX_QUEUE {
            return Err(ScriptError::QueueFull(MAX_QUEUE));
        }
        state.queue.extend(behaviours.into_iter().map(Arc::new));
        state.counters.queued = state.queue.len() as u64;
        Ok(())
    }

    /// Whether the provider knows this credential, and what it may do.
    pub fn set_profile(&self, profile: Profile) {
        let mut state = self.state.lock();
        state.profile = profile;
        state.templates.clear();
    }

    #[must_use]
    pub fn profile(&self) -> Profile {
        self.state.lock().profile.clone()
    }

    /// Lets go on what waits at a hold point now, and says how many that were. Await [`Condition::held`] first: what
    /// comes to its hold point later waits for the next release.
    pub fn release(&self) -> u64 {
        let held = {
            let mut state = self.state.lock();
            state.releases += 1;
            state.counters.held
        };
        self.released.notify_waiters();
        held
    }

    /// Forgets script, profile, counters and calls. What is in flight goes on, and stays counted.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        let Counters { in_flight, held, .. } = state.counters;
        let counters = Counters { in_flight, held, requests: in_flight, ..Counters::default() };
        *state = State { counters, releases: state.releases, ..State::default() };
        drop(state);
        self.changed.notify_waiters();
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        self.state.lock().counters.clone()
    }

    /// The last calls, oldest first, with what they have been answered so far.
    #[must_use]
    pub fn calls(&self) -> Vec<CallRecord> {
        let records: Vec<_> = self.state.lock().records.iter().cloned().collect();
        records.iter().map(|record| record.read()).collect()
    }

    /// Waits until the condition holds, and gives the counters of that moment.
    pub async fn wait_for(&self, condition: Condition, at_most: Duration) -> Result<Counters, NotReached> {
        let deadline = Instant::now() + at_most;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let counters = self.counters();
            if condition.holds(&counters) {
                return Ok(counters);
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Err(NotReached(self.counters()));
            }
        }
    }

    /// Takes the behaviour for a request that has just been read.
    pub(crate) fn take_behaviour(&self) -> (Arc<Behaviour>, bool) {
        let mut state = self.state.lock();
        match state.queue.pop_front() {
            Some(behaviour) => {
                state.counters.queued = state.queue.len() as u64;
                (behaviour, false)
            }
            None => (Arc::clone(&state.default), true),
        }
    }

    pub(crate) fn template(&self, path: &str, body: &Bytes) -> Option<Arc<Template>> {
        let state = self.state.lock();
        if state.templates.is_empty() || body.len() > MAX_TEMPLATE_REQUEST {
            return None;
        }
        state.templates.get(&(path.to_owned(), body.clone())).cloned()
    }

    /// Keeps an answer of the default behaviour, if it still is the default.
    pub(crate) fn keep_template(
        &self,
        path: &str,
        body: &Bytes,
        behaviour: &Arc<Behaviour>,
        template: &Arc<Template>,
    ) {
        let mut state = self.state.lock();
        if !Arc::ptr_eq(&state.default, behaviour) || body.len() > MAX_TEMPLATE_REQUEST {
            return;
        }
        if state.templates.len() >= MAX_TEMPLATES {
            state.templates.clear();
        }
        state.templates.insert((path.to_owned(), body.clone()), Arc::clone(template));
    }

    /// Remembers an answer that is being sent.
    pub(crate) fn keep(&self, number: u64, kept: Arc<Kept>) {
        self.state.lock().kept.keep(number, kept);
    }

    pub(crate) fn kept(&self, number: u64) -> Option<Arc<Kept>> {
        self.state.lock().kept.get(number)
    }

    pub(crate) fn forget(&self, number: u64) {
        self.state.lock().kept.forget(number);
    }

    fn change(&self, edit: impl FnOnce(&mut Counters)) {
        edit(&mut self.state.lock().counters);
        self.changed.notify_waiters();
    }

    /// Counts a wait at a hold point, and gives the number of releases that it does not heed.
    fn begin_hold(&self) -> u64 {
        let releases = {
            let mut state = self.state.lock();
            state.counters.held += 1;
            state.releases
        };
        self.changed.notify_waiters();
        releases
    }

    fn keep_record(&self, record: &Arc<Recording>) {
        if self.keep == 0 {
            return;
        }
        let mut state = self.state.lock();
        state.recorded_bytes += record.body_bytes();
        state.records.push_back(Arc::clone(record));
        while state.records.len() > self.keep || state.recorded_bytes > MAX_RECORDED_BYTES {
            let Some(oldest) = state.records.pop_front() else {
                break;
            };
            state.recorded_bytes = state.recorded_bytes.saturating_sub(oldest.body_bytes());
        }
    }
}
