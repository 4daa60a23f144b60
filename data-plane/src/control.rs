//! All talk with the control plane.

mod status_writes;

pub use status_writes::StatusWrites;
