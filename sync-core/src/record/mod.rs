//! What is synchronised: record types declared once each, and records kept as they came.

mod datetime;
mod enums;
pub(crate) mod field;
mod id;
mod json;
pub(crate) mod record_type;
mod registry;
mod types;

pub use datetime::{Date, DateTime};
pub use enums::*;
pub use field::{Field, FieldError, FieldKind, FieldValue, Json, JsonText, LegacyDate};
pub use id::{Cursor, NameId, RecordId, SiteId, StoreId, TableName};
pub(crate) use json::string as json_text;
pub use json::{Fields, RecordData};
pub use record_type::{Deletion, Group, RecordType, Scope, SyncStyle, TypedRecord, Writers};
pub use registry::{integration_rank, record_type, record_types};
pub use types::*;
