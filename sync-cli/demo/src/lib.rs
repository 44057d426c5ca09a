//! The cast of the demonstration of Open mSupply's synchronisation: documents of every record type ([`seed`]), a line that
//! breaks ([`line`](mod@line)), files ([`files`]), and a judge that keeps its own record of what must be where ([`judge`]).
//!
//! `oms-sync demo` plays it with a central server and two sites. A test of this crate plays it with a stand-in for the legacy
//! server beside them.

pub mod cast;
pub mod files;
pub mod judge;
pub mod line;
pub mod seed;
