//! Wires: the request and response formats of model APIs. Pure: bytes in, bytes out; no I/O, no async.
//!
//! Where the client's wire and the upstream's are the same, bodies stay bytes ([`raw`]): a shallow view reads the few
//! fields that routing and metering need, edits are splices by byte range, and a stream is watched as it passes.
