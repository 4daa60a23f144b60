//! A stream's bulk passes the watch without an allocation.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(unsafe_code, reason = "an allocator that counts can only be written this way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use shared::wire::Wire;
use wire::raw::watch::{Chunks, StreamEdits, StreamWatch};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all calls go on to the system's allocator as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
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
