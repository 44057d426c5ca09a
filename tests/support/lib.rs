//! Shared parts of the tests: a small world of one central server and its sites.

pub mod capture;
pub mod fuzz;
pub mod raw_server;
pub mod record_types_page;
pub mod record_value;
pub mod world;

/// The example of the README of the whole project compiles as it stands there. It is here because a packaged `sync-core` lacks that page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
