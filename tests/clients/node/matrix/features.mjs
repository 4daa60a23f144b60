/** What is tried on each wire and column: a table of contents. `wires` have words for it; without that, all have. */
import { agentLoop, agentLoopThinking } from './features/agent_loop.mjs'
import { imageUrls, images, pdf, toolMedia } from './features/media.mjs'
import * as errors from './features/errors.mjs'
import { plain, stream, structured } from './features/answers.mjs'
import { customTools, oneCall, parallelTools, toolChoice, tools } from './features/tools.mjs'
import { reasoning } from './features/reasoning.mjs'
import * as stops from './features/stops.mjs'
import { system, systemMid } from './features/system.mjs'
import { countTokens, usage, usageUnasked } from './features/usage.mjs'

/** Errors come last: they leave the lane in a state from which it has to recover. */
export const FEATURES = {
  plain: { run: plain },
  stream: { run: stream },
  tools: { run: tools },
  parallel_tools: { run: parallelTools },
  one_call: { run: oneCall, wires: ['chat', 'responses', 'messages'] },
  tool_choice: { run: toolChoice },
  custom_tools: { run: customTools, wires: ['chat', 'responses'] },
  images: { run: images },
  url_images: { run: imageUrls },
  pdf: { run: pdf },
  tool_media: { run: toolMedia, wires: ['responses', 'messages'] },
  reasoning: { run: reasoning },
  structured: { run: structured },
  stop_end: { run: stops.end },
  stop_length: { run: stops.length },
  stop_sequence: { run: stops.sequence, wires: ['chat', 'messages', 'gemini'] },
  stop_tool: { run: stops.tool },
  stop_refusal: { run: stops.refusal },
  system: { run: system },
  system_mid: { run: systemMid, wires: ['chat', 'responses', 'messages'] },
  agent_loop: { run: agentLoop },
  agent_loop_thinking: { run: agentLoopThinking },
  usage_unasked: { run: usageUnasked, wires: ['chat'] },
  count_tokens: { run: countTokens, wires: ['messages', 'gemini'] },
  usage: { run: usage },
  error_400: { run: errors.refused(400, 'temperature: too hot') },
  error_401: { run: errors.wrongKey },
  error_404: { run: errors.unknownModel },
  error_413: { run: errors.refused(413, 'the prompt is too large') },
  error_in_stream: { run: errors.inStream },
  cut_in_stream: { run: errors.cut },
  error_500: { run: errors.broken },
  error_429: { run: errors.limited },
  error_529: { run: errors.overloaded },
  error_403: { run: errors.forbidden },
  // Behind it the lane's account is not asked for the model any more.
  error_404_upstream: { run: errors.withoutModel },
}
