//! Which result answers which call, where ids are missing: Google's own clients leave them out and go by names.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
};

use crate::{
    canonical::{ToolCall, ToolResult},
    gemini::id,
};

/// The calls of a request so far.
#[derive(Default)]
pub(super) struct Calls<'a> {
    /// Numbers ids.
    next: usize,
    /// By name.
    waiting: HashMap<Cow<'a, str>, Waiting<'a>>,
    /// Names by id; of an id that is used again, the last.
    known: HashMap<Cow<'a, str>, Cow<'a, str>>,
    answered: HashSet<Cow<'a, str>>,
}

/// Ids of calls of one name, oldest first.
#[derive(Default)]
struct Waiting<'a> {
    numbered: VecDeque<Cow<'a, str>>,
    /// Those that came with an id, by which their results should go.
    given: VecDeque<Cow<'a, str>>,
}

impl<'a> Calls<'a> {
    /// Gives the call an id if it has none.
    pub(super) fn call(&mut self, call: &mut ToolCall<'a>) {
        if call.id.is_empty() {
            call.id = self.fresh();
        }
        self.known.insert(call.id.clone(), call.name.clone());
        self.answered.remove(&call.id);
        let waiting = self.waiting.entry(call.name.clone()).or_default();
        let list = if id::is_number(&call.id) { &mut waiting.numbered } else { &mut waiting.given };
        list.push_back(call.id.clone());
    }

    /// A result without an id takes that of the oldest call of its name that has no result yet. So does one with a
    /// number that no such call has: it counted calls in another way. Whether it is the first for its call: Google's own
    /// client says results again when it resumes a session, and other providers take one each.
    pub(super) fn result(&mut self, result: &mut ToolResult<'a>) -> bool {
        if !id::is_number(&result.id) && self.answered.contains(&result.id) {
            return false;
        }
        let is_open = self.known.contains_key(&result.id) && !self.answered.contains(&result.id);
        if result.id.is_empty() || (id::is_number(&result.id) && !is_open) {
            let waiting = result.name.as_ref().and_then(|name| self.waiting.get_mut(name));
            let (known, answered) = (&self.known, &self.answered);
            let next = |list: &mut VecDeque<Cow<'a, str>>| {
                std::iter::from_fn(|| list.pop_front())
                    .find(|id| !answered.contains(id) && known.get(id) == result.name.as_ref())
            };
            let oldest =
                waiting.and_then(|waiting| next(&mut waiting.numbered).or_else(|| next(&mut waiting.given)));
            result.id = oldest.unwrap_or_else(|| self.fresh());
        }
        self.answered.insert(result.id.clone());
        true
    }

    fn fresh(&mut self) -> Cow<'a, str> {
        loop {
            let id = Cow::Owned(id::number(self.next));
            self.next += 1;
            if !self.known.contains_key(&id) {
                return id;
            }
        }
    }
}
