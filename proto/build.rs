//! Compiles the contract with protox: no protoc is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 6] = [
    "switchyard/v1/revision.proto",
    "switchyard/v1/resource.proto",
    "switchyard/v1/snapshot.proto",
    "switchyard/v1/usage.proto",
    "switchyard/v1/node.proto",
    "switchyard/v1/refusal.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=switchyard");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Payloads and records are handed on as they came, without a copy.
        .bytes(".switchyard.v1.Resource.payload")
        .bytes(".switchyard.v1.SpoolRecords.records")
        // Secrets must not reach a log through a derived Debug; see redacted.rs.
        .skip_debug([
            ".switchyard.v1.ApiKeyCredential",
            ".switchyard.v1.AccessTokenCredential",
            ".switchyard.v1.AwsCredential",
            ".switchyard.v1.Resource",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
