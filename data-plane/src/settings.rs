//! What an operator sets for a node.
