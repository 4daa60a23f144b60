//! A stream's bulk passes the watch without an allocation, and a large image is converted without a copy of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(unsafe_code, reason = "an allocator that counts can only be written this way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use shared::wire::Wire;
use wire::convert::{self, Ask, Format, Replayed, Target};
use wire::raw::watch::{Chunks, StreamEdits, StreamWatch};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread holds, and the most that it held.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn hold(bytes: isize) {
    HELD.with(|held| held.set(held.get() + bytes));
    MOST.with(|most| most.set(most.get().max(HELD.with(Cell::get))));
}

// SAFETY: all calls go on to the system's allocator as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        hold(layout.size().cast_signed());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        hold(-layout.size().cast_signed());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // The worst case: the old place is there until the new one is filled.
        hold(size.cast_signed());
        hold(-layout.size().cast_signed());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations it takes to watch `chunk` a thousand times, once `begin` has passed.
fn allocations_of(wire: Wire, hide_usage: bool, begin: &'static str, chunk: Bytes) -> usize {
    let mut watch = StreamWatch::new(wire, StreamEdits { hide_usage }).unwrap();
    let mut out = Chunks::new();
    let seen = watch.feed(Bytes::from_static(begin.as_bytes()), &mut out);
    assert!(seen.content, "content has begun");
    watch.feed(chunk.clone(), &mut out);
    let before = ALLOCATIONS.with(Cell::get);
    for _ in 0..1000 {
        out.clear();
        watch.feed(chunk.clone(), &mut out);
    }
    ALLOCATIONS.with(Cell::get) - before
}

/// Chunks of a connection share a buffer; a handle to a part of it costs nothing then.
fn shared_buffer(text: &str) -> Bytes {
    let bytes = Bytes::from(text.as_bytes().to_vec());
    let _shared = bytes.clone();
    bytes
}

const MESSAGES_BEGIN: &str =
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n";
const MESSAGES_BULK: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
    \"delta\":{\"type\":\"text_delta\",\"text\":\"say \\\"usage\\\"\"}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n";
const CHAT_BEGIN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const CHAT_BULK: &str = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"say \\\"usage\\\"\"},\
    \"finish_reason\":null}],\"usage\":null}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n";

#[test]
fn bulk_frames_of_messages_allocate_nothing() {
    assert_eq!(allocations_of(Wire::Messages, false, MESSAGES_BEGIN, shared_buffer(MESSAGES_BULK)), 0);
}

#[test]
fn bulk_frames_of_chat_allocate_nothing() {
    assert_eq!(allocations_of(Wire::Chat, false, CHAT_BEGIN, shared_buffer(CHAT_BULK)), 0);
}

#[test]
fn a_frame_in_two_chunks_costs_at_most_the_bytes_that_join_it() {
    let mut watch = StreamWatch::new(Wire::Messages, StreamEdits::default()).unwrap();
    let mut out = Chunks::new();
    let (head, tail) = (shared_buffer(&MESSAGES_BULK[..40]), shared_buffer(&MESSAGES_BULK[40..]));
    watch.feed(shared_buffer(MESSAGES_BEGIN), &mut out);
    watch.feed(shared_buffer(MESSAGES_BULK).slice(..40), &mut out);
    watch.feed(tail.clone(), &mut out);
    let before = ALLOCATIONS.with(Cell::get);
    for _ in 0..1000 {
        out.clear();
        watch.feed(head.clone(), &mut out);
        watch.feed(tail.clone(), &mut out);
    }
    assert!(ALLOCATIONS.with(Cell::get) - before <= 1000);
}

/// The body with a large image, for a client of this wire.
fn with_image(wire: Wire) -> String {
    let data = "iVBORw0KGgo=".repeat(100_000);
    match wire {
        Wire::Chat => format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":"what is it?"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#
        ),
        Wire::Responses => format!(
            r#"{{"model":"m","input":[{{"role":"user","content":[{{"type":"input_text","text":"what is it?"}},{{"type":"input_image","image_url":"data:image/png;base64,{data}"}}]}}]}}"#
        ),
        Wire::Messages => format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{{"type":"text","text":"what is it?"}},{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}]}}]}}"#
        ),
        Wire::Gemini => format!(
            r#"{{"contents":[{{"role":"user","parts":[{{"text":"what is it?"}},{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}}]}}]}}"#
        ),
    }
}

#[test]
fn a_large_image_is_not_copied() {
    for wire in Wire::ALL {
        let source = Bytes::from(with_image(wire));
        let ask = Ask {
            wire,
            body: &source,
            model: "m",
            stream: false,
            wants_usage: false,
            array: false,
            resume: None,
            memos: &[],
            id: "01J",
            now: 0,
        };
        for format in Format::ALL {
            let target = Target {
                format,
                model: "m",
                stream: false,
                default_max_output: 1024,
                max_output: None,
                fetches_urls: true,
                server_tools: true,
                system_turns: true,
                replayed: Replayed::OWN,
                tool_search: true,
                cache_marks: false,
            };
            let before = HELD.with(Cell::get);
            MOST.with(|most| most.set(before));
            let converted = convert::request(ask, target).unwrap();
            let pieces = converted.excerpts.fill(converted.body, &source);
            assert!(pieces.iter().map(Bytes::len).sum::<usize>() > 1_000_000);
            let most = MOST.with(Cell::get) - before;
            assert!(most < 100_000, "{wire} to {}: {most} bytes", format.as_str());
        }
    }
}
