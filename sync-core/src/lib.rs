#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)
)]
#![cfg_attr(
    not(all(feature = "central", feature = "support")),
    allow(dead_code, unused_imports, reason = "the rooms below know what only central, or the support desk, calls")
)]

/// True if a bug of `planted` is planted here.
#[cfg(feature = "planted-bugs")]
macro_rules! planted {
    ($bug:ident) => {
        crate::planted::is_planted(crate::planted::Bug::$bug)
    };
}

/// No bug is planted without the feature.
#[cfg(not(feature = "planted-bugs"))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

// Rooms that hosts see, and rooms that they do not. What most apps name is at the root; everything else has one path, in
// its room.
mod address;
mod alarm;
#[cfg(feature = "tokio")]
pub mod asynchronous;
#[cfg(feature = "central")]
pub mod central;
pub mod changelog;
pub mod clock;
pub mod driver;
pub mod error;
mod file_lock;
pub mod files;
mod integrate;
mod localisation;
mod machine;
mod ownership;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod protocol;
pub mod record;
mod redaction;
mod replica;
mod role;
pub mod site;
pub mod storage;
pub mod support;
pub mod text;
pub mod text_input;
mod trace;
pub mod transport;
pub mod watch;
mod write;

pub use error::errors_with_texts::Error;
pub use error::result::Result;
pub use localisation::Texts;
pub use replica::{Replica, ReplicaBuilder};
pub use role::Role;
pub use site::config::SyncConfig;
pub use site::cycle::SyncOptions;
pub use site::identity::Settings;
pub use site::observer::{NoopObserver, SyncEvent, SyncObserver};
pub use site::remote::Site;
pub use site::report::{SyncOutcome, SyncReport};
pub use support::status::Status;
pub use text::class::ErrorClass;
pub use text::message::Message;
pub use write::record_write::RecordWrite;
pub use write::records::Records;
pub use write::transaction::Transaction;
pub use write::typed_records::TypedRecords;
