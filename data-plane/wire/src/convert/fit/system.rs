//! System prompts go where the target wants them: those ahead of the conversation to the top, those in its midst where
//! they stood. What was told in mid-conversation and stood at the top would make of all that is cached another prompt.

use super::Fit;
use crate::{
    canonical::{Block, Request, Role, Turn},
    convert::capabilities::Format,
    loss::LossCode,
};

impl Fit<'_> {
    pub(super) fn roles(&mut self, request: &mut Request<'_>) {
        let leading = request.turns.iter().take_while(|turn| is_system(turn)).count();
        if self.target.format != Format::Chat {
            for turn in request.turns.drain(..leading) {
                request.system.extend(turn.blocks);
            }
        }
        if !self.can.developer {
            for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::Developer) {
                turn.role = Role::System;
            }
        }
        let everywhere = self.can.system_in_turns && self.target.format != Format::Messages;
        if !everywhere && request.turns.iter().any(is_system) {
            self.place(request);
        }
    }

    /// A system prompt stays behind a user's turn and ahead of an assistant's, where that is known; elsewhere a user
    /// tells it at the next place where a user may speak.
    fn place(&mut self, request: &mut Request<'_>) {
        let knows =
            self.can.system_in_turns && self.target.system_turns && self.claude_model().takes_system_turns();
        let mut turns = Vec::with_capacity(request.turns.len());
        for turn in std::mem::take(&mut request.turns) {
            join(&mut turns, turn);
        }
        let mut waiting = Vec::new();
        let mut turns = turns.into_iter().peekable();
        while let Some(mut turn) = turns.next() {
            let after_user = matches!(request.turns.last(), Some(last) if last.role == Role::User);
            let ahead_of_answer = turns.peek().is_none_or(|next| next.role == Role::Assistant);
            let is_text = turn.blocks.iter().all(|block| matches!(block, Block::Text(_)));
            match turn.role {
                Role::System if knows && after_user && ahead_of_answer && is_text => request.turns.push(turn),
                Role::System => {
                    self.losses.add(LossCode::SystemMoved, "messages");
                    match request.turns.last_mut().filter(|last| last.role == Role::User) {
                        Some(last) => last.blocks.extend(turn.blocks),
                        None => waiting.extend(turn.blocks),
                    }
                }
                Role::User => {
                    let results =
                        turn.blocks.iter().take_while(|block| matches!(block, Block::ToolResult(_))).count();
                    turn.blocks.splice(results..results, waiting.drain(..));
                    join(&mut request.turns, turn);
                }
                Role::Assistant | Role::Developer => {
                    request.push(Role::User, waiting.drain(..));
                    join(&mut request.turns, turn);
                }
            }
        }
        request.push(Role::User, waiting);
    }
}

fn is_system(turn: &Turn<'_>) -> bool {
    matches!(turn.role, Role::System | Role::Developer)
}

/// Neighbours of one role are one turn.
fn join<'a>(turns: &mut Vec<Turn<'a>>, turn: Turn<'a>) {
    match turns.last_mut() {
        Some(last) if last.role == turn.role => last.blocks.extend(turn.blocks),
        _ => turns.push(turn),
    }
}
