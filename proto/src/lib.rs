//! The contract between the planes, and for automation: `switchyard.v1` as generated from `switchyard/v1/*.proto`.
//!
//! Fields are added, never renumbered, retyped or reused: `contract.txt` holds the released contract and a test
//! refuses a change that an older peer could not read. After an addition, `cargo test -p proto` says how to renew it.

mod redacted;

/// Package `switchyard.v1`.
pub mod v1 {
    tonic::include_proto!("switchyard.v1");
}

/// The encoded `FileDescriptorSet` of the contract, for reflection and for the compatibility test.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
