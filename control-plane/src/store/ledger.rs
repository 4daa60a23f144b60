//! Records of usage.
