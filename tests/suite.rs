//! The tests of the whole, in one binary that links fast.

mod cycle;
mod fixtures;
mod record_types;
