//! Cache marks of the gateway's own. Clients of other wires know none, and without them Claude reads a growing
//! conversation anew each time.

use super::Fit;
use crate::{
    canonical::{Block, CacheMark, Request, Role, Text, Tool},
    convert::capabilities::Format,
};

impl Fit<'_> {
    /// Marks the ends of what stays as a conversation grows: of the tools, of the system prompt, and of what was said
    /// so far. A question that stands alone is not asked again, and caching it costs more.
    pub(super) fn mark(&self, request: &mut Request<'_>) {
        let grows = request.turns.len() > 1 || !request.tools.is_empty();
        if !self.target.cache_marks || self.target.format != Format::Messages || !grows || is_marked(request)
        {
            return;
        }
        let functions = request.tools.iter_mut().rev();
        let mut functions = functions.filter_map(|tool| match tool {
            Tool::Function { cache, .. } => Some(cache),
            _ => None,
        });
        if let Some(cache) = functions.next() {
            *cache = Some(CacheMark::FiveMinutes);
        }
        let last_user = request.turns.iter_mut().rev().find(|turn| turn.role == Role::User);
        let said = last_user.and_then(|turn| turn.blocks.last_mut());
        for block in request.system.last_mut().into_iter().chain(said) {
            mark(block);
        }
    }
}

fn mark(block: &mut Block<'_>) {
    let cache = match block {
        Block::Text(Text { text, cache, .. }) if !text.is_empty() => cache,
        Block::Media(media) => &mut media.cache,
        Block::ToolResult(result) => &mut result.cache,
        _ => return,
    };
    *cache = Some(CacheMark::FiveMinutes);
}

/// Whether the client decides itself.
fn is_marked(request: &Request<'_>) -> bool {
    fn is_marked(block: &Block<'_>) -> bool {
        block.cache().is_some()
            || matches!(block, Block::ToolResult(result) if result.content.iter().any(is_marked))
    }
    let tool = |tool: &Tool<'_>| matches!(tool, Tool::Function { cache: Some(_), .. });
    request.tools.iter().any(tool)
        || request.system.iter().chain(request.turns.iter().flat_map(|turn| &turn.blocks)).any(is_marked)
}
