//! The synchronised data: record types, each declared once, and records, kept as they came.

mod datetime;
mod enums;
pub(crate) mod field;
pub(crate) mod field_error;
pub(crate) mod field_value;
pub(crate) mod file_name;
pub(crate) mod file_reference;
mod id;
mod json;
mod legacy_fields;
mod legacy_table;
pub(crate) mod portable;
mod query;
pub(crate) mod record_type;
pub(crate) mod references;
mod registry;
mod same;
mod typed_id;
pub(crate) mod types;

pub use datetime::{Date, DateError, DateTime};
pub use enums::*;
pub use field::Field;
pub use field_error::FieldError;
pub use field_value::{FieldKind, FieldValue, Json, JsonText, LegacyDate};
pub use id::{Cursor, RecordId, SiteId, StoreId, TableName};
pub(crate) use json::string as json_text;
pub use json::{Fields, RECORD_BYTES_MAX, RecordData};
pub(crate) use legacy_table::{DocumentStore, document_store};
pub use legacy_table::{LegacyTable, configured_by_legacy, owned_by_sites};
pub(crate) use query::SortKey;
pub use query::{Query, Scalar};
pub use record_type::{Deletion, Group, RecordType, Scope, SyncStyle, TypedRecord, Writers};
pub use registry::{integration_rank, record_type, record_types};
pub(crate) use same::differing_keys;
pub use typed_id::TypedId;
pub use types::*;
