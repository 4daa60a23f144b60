//! A model that follows a plan, as an agent's does: it calls the agent's own tools turn by turn, and then has a last word.
//!
//! Which turn it is follows from the request alone: from how many calls stand behind the prompt that the plan is for. So
//! agents may run side by side, ask again, merge messages or put results in another order, and what else they ask (for a
//! title, for a summary) is answered as ever.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    past::Past,
    turn::{Choice, Prompt, Tool, ToolCall},
};

/// What is done about one prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The plan is for what the user says with this in it. Of several plans the one that was asked for last is followed;
    /// of several for the same, the first whose tools are there.
    pub prompt: String,
    /// One after the other; the last again, when there are no more.
    pub turns: Vec<PlannedTurn>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlannedTurn {
    /// Said ahead of the calls, or as the last word.
    pub text: Option<String>,
    pub calls: Vec<PlannedCall>,
    /// Whether it thinks first, where the request has it think. It does, unless this says otherwise.
    pub thinks: bool,
}

impl Default for PlannedTurn {
    fn default() -> Self {
        Self { text: None, calls: Vec::new(), thinks: true }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedCall {
    pub name: String,
    /// An object; or text, for a tool of free text. Where such a tool came as one that takes an object, the text is
    /// what its required property is filled with.
    pub arguments: Value,
}

impl PlannedTurn {
    pub(crate) fn calls(&self, tools: &[Tool]) -> Vec<ToolCall> {
        self.calls.iter().map(|call| call.made(tools)).collect()
    }
}

impl PlannedCall {
    fn made(&self, tools: &[Tool]) -> ToolCall {
        let tool = tools.iter().find(|tool| tool.name == self.name);
        let property = tool.and_then(|tool| tool.schema["required"][0].as_str());
        let arguments = match property.filter(|_| self.arguments.is_string()) {
            Some(property) => json!({ property: self.arguments }),
            None => self.arguments.clone(),
        };
        ToolCall { name: self.name.clone(), arguments }
    }
}

impl Plan {
    fn is_possible(&self, prompt: &Prompt) -> bool {
        let mut calls = self.turns.iter().flat_map(|turn| &turn.calls).peekable();
        let is_free = calls.peek().is_none() || prompt.choice == Choice::Auto;
        is_free && calls.all(|call| prompt.tools.iter().any(|tool| tool.name == call.name))
    }

    /// The turn ahead of which so many calls were made. Calls that an agent lost count as made with the next ones.
    fn turn_after(&self, called: usize) -> Option<&PlannedTurn> {
        let mut before = 0;
        let found = self.turns.iter().find(|turn| {
            let is_it = before >= called;
            before += turn.calls.len();
            is_it
        });
        found.or(self.turns.last())
    }
}

/// What the plans have the model do now, if they are about this request.
pub(crate) fn next<'p>(prompt: &Prompt, plans: &'p [Plan]) -> Option<&'p PlannedTurn> {
    let (at, said) = prompt.past.iter().enumerate().rev().find_map(|(at, past)| match past {
        Past::Said(said) if plans.iter().any(|plan| said.contains(&plan.prompt)) => Some((at, said)),
        _ => None,
    })?;
    let called = prompt.past.iter().skip(at).filter(|past| **past == Past::Called).count();
    let last = plans.iter().filter_map(|plan| said.rfind(&plan.prompt)).max();
    let mut asked = plans.iter().filter(|plan| said.rfind(&plan.prompt) == last);
    asked.find(|plan| plan.is_possible(prompt))?.turn_after(called)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        script::Behaviour,
        turn::{Stop, Thinking, Turn},
    };

    fn behaviour() -> Behaviour {
        let plans = json!([
            {"prompt": "Change it", "turns": [
                {"text": "Reading.", "calls": [
                    {"name": "read", "arguments": {"path": "a"}},
                    {"name": "read", "arguments": {"path": "b"}},
                ]},
                {"calls": [{"name": "patch", "arguments": "-a\n+b"}], "thinks": false},
                {"text": "Changed."},
            ]},
            {"prompt": "Sum up", "turns": [{"text": "Change it, says the summary."}]},
        ]);
        Behaviour { plans: serde_json::from_value(plans).unwrap(), ..Behaviour::default() }
    }

    fn asked(past: Vec<Past>) -> Prompt {
        let tool = |name: &str| Tool { name: name.to_owned(), schema: json!({}) };
        let tools = vec![tool("read"), tool("patch")];
        Prompt { past, tools, thinking: Thinking::Shown, last_user: "echo".into(), ..Prompt::default() }
    }

    fn said(text: &str) -> Past {
        Past::Said(text.to_owned())
    }

    #[test]
    fn the_calls_so_far_say_which_turn_it_is() {
        let turn_after = |called: usize| {
            let mut past = vec![said("Please: Change it."), said("<reminder>")];
            past.extend(vec![Past::Called; called]);
            Turn::new(&asked(past), &behaviour())
        };
        let first = turn_after(0);
        assert_eq!((first.text().as_str(), first.calls.len(), first.stop), ("Reading.", 2, Stop::ToolUse));
        assert!(!first.thinking.is_empty());
        for called in [1, 2] {
            let second = turn_after(called);
            assert_eq!((second.calls[0].text().as_str(), second.thinking.len()), ("-a\n+b", 0));
            assert_eq!(second.usage.reasoning, 0);
        }
        for called in [3, 4] {
            let last = turn_after(called);
            assert_eq!((last.text().as_str(), last.calls.len(), last.stop), ("Changed.", 0, Stop::End));
        }
    }

    #[test]
    fn free_text_goes_into_an_object_where_one_is_wanted() {
        let mut prompt = asked(vec![said("Change it"), Past::Called, Past::Called]);
        prompt.tools[1].schema = json!({"type": "object", "required": ["input"]});
        let turn = Turn::new(&prompt, &behaviour());
        assert_eq!(turn.calls[0].arguments, json!({"input": "-a\n+b"}));
    }

    #[test]
    fn the_prompt_that_came_last_is_followed() {
        let mut past = vec![said("Change it"), Past::Called, Past::Called, said("Sum up")];
        assert_eq!(Turn::new(&asked(past.clone()), &behaviour()).text(), "Change it, says the summary.");
        past.push(said("Sum up. Change it, says the summary."));
        assert_eq!(Turn::new(&asked(past), &behaviour()).text(), "Reading.");
    }

    #[test]
    fn the_plan_with_the_tools_that_are_there_is_followed() {
        let mut either = behaviour();
        either.plans[0].turns[0].calls[0].name = "files__read".into();
        either.plans.push(behaviour().plans.remove(0));
        let mut prompt = asked(vec![said("Change it")]);
        assert_eq!(Turn::new(&prompt, &either).calls[0].name, "read");
        prompt.tools.push(Tool { name: "files__read".into(), schema: json!({}) });
        assert_eq!(Turn::new(&prompt, &either).calls[0].name, "files__read");
    }

    #[test]
    fn what_the_plan_is_not_about_is_echoed() {
        let other = Turn::new(&asked(vec![said("Make a title")]), &behaviour());
        assert_eq!(other.text(), "echo");
        let toolless = Prompt { tools: Vec::new(), ..asked(vec![said("Change it")]) };
        assert_eq!(Turn::new(&toolless, &behaviour()).text(), "echo");
        let forbidden = Prompt { choice: Choice::None, ..asked(vec![said("Change it")]) };
        assert_eq!(Turn::new(&forbidden, &behaviour()).text(), "echo");
    }
}
