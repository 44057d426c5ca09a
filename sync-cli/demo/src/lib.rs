//! The parts of the demonstration of Open mSupply's synchronisation: documents of every record type ([`seed`]), a line
//! that breaks ([`line`](mod@line)), files ([`files`]), and a judge with its own record of the expected content
//! ([`judge`]).
//!
//! `oms-sync demo` plays it with a central server and two sites. A test of this crate plays it with a stand-in for the
//! legacy server too.

pub mod cast;
pub mod files;
pub mod judge;
pub mod line;
pub mod seed;
