//! Calls and results in the history: they go by the names and ids that the target takes, and stand where it wants them.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
};

use super::Fit;
use crate::{
    canonical::{Block, Request, Role, ToolCall, ToolKind, ToolResult, Turn},
    convert::{
        capabilities::{Capabilities, Format},
        names,
    },
    loss::LossCode,
};

impl Fit<'_> {
    /// By the same names and ids as the tools.
    pub(super) fn calls<'a>(&mut self, request: &mut Request<'a>) {
        let mut ids = Ids::new(self.can);
        for turn in &mut request.turns {
            ids.turn += 1;
            for block in &mut turn.blocks {
                match block {
                    Block::ToolCall(call) => {
                        self.call(call);
                        call.id = ids.call(std::mem::take(&mut call.id));
                    }
                    Block::ToolResult(result) => {
                        self.result(result);
                        result.id = ids.result(std::mem::take(&mut result.id));
                    }
                    _ => {}
                }
            }
        }
    }

    fn call(&mut self, call: &mut ToolCall<'_>) {
        if self.can.object_arguments
            && call.kind == ToolKind::Function
            && !call.arguments.trim().is_empty()
            && matches!(call.object(), Cow::Owned(_))
        {
            self.losses.add(LossCode::Arguments, "tool_calls.arguments");
        }
        let kind = call.kind;
        if kind == ToolKind::Custom && !self.can.custom_tools {
            let text = serde_json::json!({ "input": call.arguments }).to_string();
            call.arguments = Cow::Owned(text);
            call.kind = ToolKind::Function;
        }
        let (name, namespace) = self.sent(std::mem::take(&mut call.name), call.namespace.take(), kind);
        (call.name, call.namespace) = (name, namespace);
    }

    fn result(&mut self, result: &mut ToolResult<'_>) {
        if result.is_error && !self.can.tool_errors {
            self.losses.add(LossCode::Field, "tool_result.is_error");
        }
        if !self.can.custom_tools {
            result.kind = ToolKind::Function;
        }
        if let Some(name) = result.name.take() {
            result.name = Some(self.names.send(name, None, result.kind, self.can.tool_name_max));
        }
    }

    /// Results stand right behind their calls, and what was told in between is told after them. The encoders of other
    /// wires see to it, or need not.
    pub(super) fn results(&mut self, request: &mut Request<'_>) {
        if !matches!(self.target.format, Format::Chat | Format::Converse) {
            return;
        }
        let mut between = Vec::new();
        for turn in std::mem::take(&mut request.turns) {
            if turn.role == Role::Assistant {
                self.behind_calls(request, std::mem::take(&mut between));
                request.push(turn.role, turn.blocks);
            } else {
                between.push(turn);
            }
        }
        self.behind_calls(request, between);
    }

    /// Adds what stands between two answers.
    fn behind_calls<'a>(&mut self, request: &mut Request<'a>, between: Vec<Turn<'a>>) {
        let is_result = |block: &Block<'_>| matches!(block, Block::ToolResult(_));
        let last = between.iter().rposition(|turn| turn.blocks.iter().any(is_result));
        let Some(last) = last.filter(|_| !request.turns.is_empty()) else {
            return between.into_iter().for_each(|turn| request.push(turn.role, turn.blocks));
        };
        if between.iter().take(last).any(|turn| turn.role != Role::User) {
            self.losses.add(LossCode::SystemMoved, "messages");
        }
        let (mut results, mut others) = (Vec::new(), Vec::with_capacity(between.len()));
        for turn in between {
            let (moved, kept): (Vec<_>, Vec<_>) = turn.blocks.into_iter().partition(is_result);
            results.extend(moved);
            others.push((turn.role, kept));
        }
        request.push(Role::User, results);
        others.into_iter().for_each(|(role, blocks)| request.push(role, blocks));
    }
}

/// The ids that calls go by. Some clients number their calls anew in each turn, and some providers want each id once.
struct Ids<'a> {
    max: usize,
    once: bool,
    turn: usize,
    used: HashSet<Cow<'a, str>>,
    /// How often each was wanted.
    wanted: HashMap<Cow<'a, str>, u32>,
    /// By the client's id.
    open: HashMap<Cow<'a, str>, Open<'a>>,
}

/// The calls of one id in the turn that last had any.
struct Open<'a> {
    turn: usize,
    /// Those without a result, oldest first.
    waiting: VecDeque<Cow<'a, str>>,
    /// The one that a result goes to where none waits.
    last: Cow<'a, str>,
}

impl<'a> Ids<'a> {
    fn new(can: &Capabilities) -> Self {
        Self {
            max: can.tool_id_max,
            once: can.unique_ids,
            turn: 0,
            used: HashSet::new(),
            wanted: HashMap::new(),
            open: HashMap::new(),
        }
    }

    fn call(&mut self, id: Cow<'a, str>) -> Cow<'a, str> {
        let sent = names::id(id.clone(), self.max);
        if !self.once {
            return sent;
        }
        let sent = self.fresh(sent);
        let turn = self.turn;
        let open = self.open.entry(id).or_insert_with(|| Open {
            turn,
            waiting: VecDeque::new(),
            last: Cow::Borrowed(""),
        });
        if open.turn != turn {
            // What an earlier turn left unanswered stays so.
            open.waiting.clear();
            open.turn = turn;
        }
        open.waiting.push_back(sent.clone());
        open.last.clone_from(&sent);
        sent
    }

    fn result(&mut self, id: Cow<'a, str>) -> Cow<'a, str> {
        match self.open.get_mut(&id) {
            Some(open) => open.waiting.pop_front().unwrap_or_else(|| open.last.clone()),
            None => names::id(id, self.max),
        }
    }

    fn fresh(&mut self, id: Cow<'a, str>) -> Cow<'a, str> {
        if self.used.insert(id.clone()) {
            return id;
        }
        let count = self.wanted.entry(id.clone()).or_insert(1);
        loop {
            *count += 1;
            let other = names::id(Cow::Owned(format!("{id}_{count}")), self.max);
            if self.used.insert(other.clone()) {
                return other;
            }
        }
    }
}
