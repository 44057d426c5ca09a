//! The ends of the demonstration.

/// The central server.
pub const CENTRAL: usize = 0;
/// The site north.
pub const NORTH: usize = 1;
/// The site south, whose line breaks.
pub const SOUTH: usize = 2;
/// Names of the ends.
pub const NAMES: [&str; 3] = ["central", "north", "south"];
/// The store of each site; central has none. North's is the store of the seed documents.
pub const STORES: [&str; 3] = ["", "D77F67339BF8400886D009178F4962E1", "80004C94067A4CE5A34FC343EB1B4306"];

/// Assets that each site makes besides the seed documents.
pub const ASSETS: usize = 300;
/// Rounds after which the ends must be quiet.
pub const ROUNDS_MAX: usize = 10;
