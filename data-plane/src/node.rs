//! Puts a process together, and takes it apart in order.
