#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)
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

mod address;
mod changelog;
mod clock;
mod driver;
mod error;
pub mod files;
mod integrate;
mod localisation;
mod machine;
pub(crate) mod redaction;
mod site;
pub(crate) mod text;
pub(crate) mod write;

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

pub use central::Central;
pub use changelog::{Audience, Change, ChangeAction, ChangelogGap, NewChange};
pub use clock::{Clock, SystemClock, Timestamp, WakeSignal};
pub use driver::{CycleEnd, Driver, DriverConfig, DriverHandle, DriverObserver};
pub use error::catalogue::{CatalogueEntry, catalogue};
pub use error::{Cause, Error, ErrorClass, Result, Server};
pub use localisation::Texts;
pub use machine::machine_id;
pub use ownership::Role;
pub use site::{
    Discovered, FilesOptions, FilesReport, NoopObserver, PushedRange, Settings, Site, SkipReason, SkippedStep, Step,
    StepReport, SyncConfig, SyncEvent, SyncObserver, SyncOptions, SyncOutcome, SyncReport,
};
pub use support::{LastSync, Status, Waiting, status};
pub use text::{Detail, Localize, Message, MessageTemplate};
pub use write::records::{RECORD_BYTES_MAX, Records, quarantine};
