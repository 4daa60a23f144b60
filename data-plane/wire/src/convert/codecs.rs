//! Which code reads and writes which wire.

use crate::{
    canonical::{Request, Response},
    chat,
    codec::{Context, StreamDecoder, StreamEncoder, Unreadable},
    converse, gemini, messages, responses,
};
use shared::wire::Wire;

use super::{Ask, Format};

pub(super) fn decode_request<'a>(ask: &Ask<'a>) -> Result<Request<'a>, Unreadable> {
    match ask.wire {
        Wire::Chat => chat::decode::request(ask.body),
        Wire::Responses => responses::decode::request(ask.body),
        Wire::Messages => messages::decode::request::request(ask.body),
        Wire::Gemini => gemini::decode::request(ask.body, ask.model, ask.stream),
    }
}

pub(super) fn encode_request(format: Format, request: &Request<'_>, room: usize) -> Vec<u8> {
    match format {
        Format::Chat => chat::encode::request(request, room),
        Format::Responses => responses::encode::request(request, room),
        Format::Messages => messages::encode::request::request(request, room),
        Format::Gemini => gemini::encode::request(request, room),
        Format::Converse => converse::encode::request(request, room),
    }
}

pub(super) fn decode_response(format: Format, body: &[u8]) -> Result<Response<'_>, Unreadable> {
    match format {
        Format::Chat => chat::decode::response(body),
        Format::Responses => responses::decode::response(body),
        Format::Messages => messages::decode::response::response(body),
        Format::Gemini => gemini::decode::response(body),
        Format::Converse => converse::decode::response(body),
    }
}

pub(super) fn encode_response(wire: Wire, response: &Response<'_>, context: &Context) -> Vec<u8> {
    match wire {
        Wire::Chat => chat::encode::response(response, context),
        Wire::Responses => responses::encode::response(response, context),
        Wire::Messages => messages::encode::response::response(response, context),
        Wire::Gemini => gemini::encode::response(response, context),
    }
}

pub(super) fn stream_decoder(format: Format) -> Box<dyn StreamDecoder> {
    match format {
        Format::Chat => Box::<chat::decode::StreamDecoder>::default(),
        Format::Responses => Box::<responses::decode::StreamDecoder>::default(),
        Format::Messages => Box::<messages::decode::stream::StreamDecoder>::default(),
        Format::Gemini => Box::<gemini::decode::StreamDecoder>::default(),
        Format::Converse => Box::<converse::decode::StreamDecoder>::default(),
    }
}

pub(super) fn stream_encoder(wire: Wire, context: Context) -> Box<dyn StreamEncoder> {
    match wire {
        Wire::Chat => Box::new(chat::encode::StreamEncoder::new(context)),
        Wire::Responses => Box::new(responses::encode::StreamEncoder::new(context)),
        Wire::Messages => Box::new(messages::encode::stream::StreamEncoder::new(context)),
        Wire::Gemini if context.array => Box::new(gemini::encode::ArrayEncoder::new(context)),
        Wire::Gemini => Box::new(gemini::encode::StreamEncoder::new(context)),
    }
}

/// What the answer repeats of the request.
pub(super) fn echo(ask: &Ask<'_>) -> Vec<(&'static str, String)> {
    match ask.wire {
        Wire::Responses => responses::decode::echo(ask.body),
        Wire::Chat | Wire::Messages | Wire::Gemini => Vec::new(),
    }
}
