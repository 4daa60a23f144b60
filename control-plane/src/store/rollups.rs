//! Sums by quarter-hour.
