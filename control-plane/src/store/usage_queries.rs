//! Reading usage.
