//! The data plane's HTTP side, over real connections: a small upstream that does what a test scripts, the server in
//! front of it, and a client.

mod agents;
mod bursts;
mod codings;
mod cors;
mod denying;
mod ending;
mod failing;
mod full;
pub(crate) mod gateway;
mod keeping;
mod leaving;
mod long_frames;
mod noting;
mod pace;
mod panicking;
mod passing;
mod recording;
mod reforming;
mod refusing;
mod resuming;
mod reusing;
mod revoking;
mod stopping;
mod telling;
mod tls;
mod traces;
pub(crate) mod upstream;
