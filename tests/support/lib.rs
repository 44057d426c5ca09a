//! Shared parts of the tests: a small world of one central server and its sites.

pub mod capture;
pub mod fuzz;
pub mod raw_server;
pub mod record_types_page;
pub mod record_value;
pub mod world;
