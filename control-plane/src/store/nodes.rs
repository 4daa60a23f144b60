//! Nodes as they were last heard of.
