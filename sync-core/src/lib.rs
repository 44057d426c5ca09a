//! x
pub mod record;
pub mod ownership;
pub mod error; pub use error::*;
pub mod clock;
pub mod changelog;
pub mod protocol;
pub mod storage;
