//! The tests of the whole, in one binary that links fast.

mod at_once;
mod bad_input;
mod central_access;
mod contracts;
mod cycle;
mod docs;
mod driver;
mod errors;
mod files;
mod fixtures;
mod fuzz;
mod healing;
mod held_up;
mod host_tables;
mod legacy_half;
mod legacy_half_later;
mod legacy_merges;
mod legacy_queue;
mod machines;
mod one_door;
mod one_patient;
mod record_types;
mod restored;
mod stop_anywhere;
mod support_desk;
mod weak_points;
