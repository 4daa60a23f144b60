//! The laws of the house, held by test: the top level, the arrows between packages, the sizes of files and functions.

mod arrows;
mod sizes;
mod tree;
