//! Commands to nodes.
