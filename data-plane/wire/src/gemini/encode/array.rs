//! A stream as one JSON array that grows: what `streamGenerateContent` answers without `alt=sse`.

use super::StreamEncoder;
use crate::{
    canonical::Event,
    codec::{self, Context},
    error::WireError,
};

/// Writes a stream of Google's as an array of what its frames hold.
#[derive(Debug)]
pub(crate) struct ArrayEncoder {
    frames: StreamEncoder,
    written: Written,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Nothing,
    /// The array is open and has items.
    Items,
    All,
}

impl ArrayEncoder {
    pub(crate) fn new(context: Context) -> Self {
        Self { frames: StreamEncoder::new(context), written: Written::Nothing }
    }

    /// Puts the items of whole frames into the array. Each frame is one line of data; blank ones stay blank, which an
    /// array may have anywhere.
    fn put(&mut self, frames: &[u8], out: &mut Vec<u8>) {
        for line in frames.split(|byte| *byte == b'\n') {
            let Some(item) = line.strip_prefix(b"data: ") else { continue };
            out.extend_from_slice(if self.written == Written::Nothing { b"[" } else { b",\r\n" });
            out.extend_from_slice(item);
            self.written = Written::Items;
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.written = Written::All;
        out.extend_from_slice(b"]");
    }
}

impl codec::StreamEncoder for ArrayEncoder {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.written == Written::All {
            return;
        }
        if matches!(event, Event::Ping) {
            return out.push(b'\n');
        }
        let mut frames = Vec::new();
        self.frames.event(event, &mut frames);
        self.put(&frames, out);
        if matches!(event, Event::End) {
            self.end(out);
        }
    }

    fn error(&mut self, error: &WireError<'_>, out: &mut Vec<u8>) {
        if self.written == Written::All {
            return;
        }
        let mut frames = Vec::new();
        self.frames.error(error, &mut frames);
        self.put(&frames, out);
        self.end(out);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        canonical::{Delta, Opening},
        codec::StreamEncoder as _,
        error::ErrorKind,
    };

    fn events() -> [Event<'static>; 5] {
        let text = |text: &'static str| Delta::Text(text.into());
        [
            Event::Ping,
            Event::Open { choice: 0, index: 0, opening: Opening::Text },
            Event::Delta { choice: 0, index: 0, delta: text("a\n\ndata: b") },
            Event::Delta { choice: 0, index: 0, delta: text("c") },
            Event::Ping,
        ]
    }

    #[test]
    fn the_frames_are_the_arrays_items() {
        let (mut encoder, mut out) = (ArrayEncoder::new(Context::default()), Vec::new());
        events()
            .iter()
            .chain([Event::End, Event::End, Event::Ping].iter())
            .for_each(|event| encoder.event(event, &mut out));
        let items: Vec<Value> = serde_json::from_slice(&out).unwrap();
        assert_eq!(items.len(), 3);
        let text = |item: &Value| item["candidates"][0]["content"]["parts"][0]["text"].clone();
        assert_eq!(items.iter().map(text).collect::<Vec<_>>(), ["a\n\ndata: b", "c", ""]);
        assert_eq!(items[2]["candidates"][0]["finishReason"], "STOP");
    }

    #[test]
    fn an_error_closes_the_array() {
        let error = WireError {
            status: 500,
            kind: ErrorKind::Api,
            message: "m",
            code: None,
            param: None,
            request_id: "01J",
        };
        for events in [&events()[..], &[]] {
            let (mut encoder, mut out) = (ArrayEncoder::new(Context::default()), Vec::new());
            events.iter().for_each(|event| encoder.event(event, &mut out));
            encoder.error(&error, &mut out);
            encoder.error(&error, &mut out);
            encoder.event(&Event::End, &mut out);
            let items: Vec<Value> = serde_json::from_slice(&out).unwrap();
            assert_eq!(items.last().unwrap()["error"]["message"], "m");
        }
    }
}
