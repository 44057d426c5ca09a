//! The tests of the whole, in one binary that links fast.

mod fixtures;
mod record_types;
