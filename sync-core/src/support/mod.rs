//! What people who help a site ask of its database, and what they repair in it. All of it goes through [`Storage`], so it
//! works on every kind of database; whoever shows it to people puts it into words.
//!
//! [`Storage`]: crate::storage::Storage

mod cursors;
pub mod doctor;
mod explain;
mod identity;
mod log;
mod preview_push;
mod quarantine;
mod resend;
mod retry;

pub use crate::site::{Coming, NetLimits, NetReport, PredictedPart, Prediction, PullPreview, ServerLine};
pub use cursors::{CursorShown, PullCursor, Rewind, cursors, plan_rewind, rewind};
pub use explain::{Explanation, Receivers, Sent, SentState, Travels, Verdict, Written, explain};
pub use identity::{Disagreement, IdentityShown, Servers, StoreShown, Versions, identity};
pub use log::{Repair, is_repair, note_repair};
pub use preview_push::{Foreseen, PushPreview, TypeCount, preview_push};
pub(crate) use preview_push::{NAMED, TypeCounts};
pub(crate) use quarantine::each_set_aside;
pub use quarantine::{Awaited, AwaitedState, SetAside, SetAsideGroup, find_set_aside, set_aside_groups, source_name};
pub use resend::{Lost, Resend, plan_resend, resend};
pub use retry::{NotRetried, Retried, Which, ignore, retry};
