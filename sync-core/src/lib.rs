#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)
)]

/// Whether a bug of `planted` is planted here.
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

mod apply;
mod catalogue;
mod changelog;
mod clock;
mod driver;
mod echo;
mod error;
pub mod files;
mod integrate;
mod machine;
mod masked;
mod moved_stores;
mod outgoing;
mod record_owner;
mod records;
mod site;
mod texts;

pub mod central;
pub mod ownership;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod protocol;
pub mod record;
pub mod storage;
pub mod support;
pub mod text_input;
pub mod transport;

pub use catalogue::{CatalogueEntry, catalogue};
pub use central::Central;
pub use changelog::{Audience, Change, ChangeAction, NewChange};
pub use clock::{Bell, Clock, SystemClock, Timestamp};
pub use driver::{CycleEnd, Driver, DriverConfig, DriverHandle, DriverObserver};
pub use error::{Cause, Error, ErrorClass, Result, Server};
pub use machine::machine_id;
pub use ownership::Role;
pub use records::{RECORD_BYTES_MAX, Records, quarantine};
pub use site::{
    Discovered, FilesOptions, FilesReport, LastSync, Outcome, PushedRange, Settings, Silent, Site, Status, Step,
    StepReport, SyncConfig, SyncEvent, SyncObserver, SyncOptions, SyncReport, Waiting, status,
};
pub use texts::{Detail, Said, Sentence, Speaks, Texts};
