//! The declaration of a record type: everything that the engine knows of it.

use super::field::{Field, not_an_object};
use super::field_error::FieldError;
use super::json::{Fields, RecordData};
use crate::text::similar;

/// The group a type belongs to, in the words of the Open mSupply documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is its own title")]
pub enum Group {
    AssetCatalogue,
    AssetStatusReasons,
    Assets,
    AssetLogs,
    Files,
    StoreProperties,
    Demographics,
    VaccineCourses,
    Vaccinations,
    ItemVariants,
    RnRForms,
    Reports,
    Plugins,
    Preferences,
    ContactForms,
    SystemLogs,
    Names,
    Campaigns,
    HelpDocuments,
}

impl Group {
    /// The title of the group.
    pub fn title(self) -> &'static str {
        match self {
            Self::AssetCatalogue => "Asset catalogue",
            Self::AssetStatusReasons => "Asset status reasons",
            Self::Assets => "Assets",
            Self::AssetLogs => "Asset logs",
            Self::Files => "Files",
            Self::StoreProperties => "Store properties",
            Self::Demographics => "Demographics",
            Self::VaccineCourses => "Immunisation programs and vaccine courses",
            Self::Vaccinations => "Vaccinations/encounters",
            Self::ItemVariants => "Item & packaging variants",
            Self::RnRForms => "R&R forms",
            Self::Reports => "Reports & form schemas",
            Self::Plugins => "Plugins",
            Self::Preferences => "Preferences",
            Self::ContactForms => "Messages & contact forms",
            Self::SystemLogs => "System logs",
            Self::Names => "Names & store joins",
            Self::Campaigns => "Campaigns",
            Self::HelpDocuments => "Help documents",
        }
    }
}

/// The receivers of a record (`record-types`: *Per style*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncStyle {
    /// Configured on central, sent to every site.
    Central,
    /// Owned by a store's site; central always has it.
    Remote,
    /// A file reference: every site and central have every one.
    File,
    /// With a store as `Remote`, without one as `Central`.
    RemoteAndCentral,
    /// Goes to central only, and never comes back.
    RemoteToCentral,
    /// Belongs to the legacy server; V6 only carries what a site pushes.
    Legacy,
}

impl SyncStyle {
    /// The style in the spelling of the spec.
    pub fn spec_name(self) -> &'static str {
        match self {
            Self::Central => "central",
            Self::Remote => "remote",
            Self::File => "file",
            Self::RemoteAndCentral => "remote_and_central",
            Self::RemoteToCentral => "remote_to_central",
            Self::Legacy => "legacy",
        }
    }
}

/// Who may create and change a record (`record-types`: *Per style*, column "who may create / edit"). The rules that follow
/// from it are in the room `ownership`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Writers {
    /// The central server alone.
    Central,
    /// Every site, and central.
    Everyone,
    /// Every site, and central; nobody changes a version of another writer.
    Author,
    /// The site that holds the parent record, and central; if the parent belongs to no single site, its writer.
    Holder,
    /// The site on which the record's store is active.
    StoreSite,
    /// The site on which the record's store is active, and central for every store.
    StoreSiteOrCentral,
    /// With a store as `StoreSite`; without one central alone.
    StoreSiteElseCentral,
}

/// The meaning of deleting a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Records are never deleted.
    Never,
    /// A date-time field marks the record as deleted; the mark travels as an ordinary upsert.
    Soft(&'static str),
    /// As `Soft`, and a Delete on the wire is understood as setting the mark.
    SoftAndWire(&'static str),
    /// A Delete on the wire removes the record.
    Wire,
}

/// The source of the store and the name in a record's changelog row (`record-types`: *Changelog scope*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Neither store nor name.
    None,
    /// The store in this field, if any.
    Store(&'static str),
    /// The store of the parent record named by a field: (field, parent table, the parent's store field).
    ParentStore(&'static str, &'static str, &'static str),
    /// The patient in this field.
    Patient(&'static str),
    /// A store and a name, in these fields.
    StoreAndName(&'static str, &'static str),
    /// The store that receives it, in the first field. The site of the store that sent it, in the second field, may
    /// write it as well.
    Correspondence(&'static str, &'static str),
}

/// One record type: its names, its rules and its fields.
#[derive(Debug)]
#[non_exhaustive]
pub struct RecordType {
    /// The table name on the wire.
    pub table: &'static str,
    /// The table name in Open mSupply's changelog; differs for reports and form schemas.
    pub changelog_name: &'static str,
    /// The group it is documented under.
    pub group: Group,
    /// Its receivers.
    pub style: SyncStyle,
    /// True if sites pull it from central.
    pub pulled: bool,
    /// True if sites push it to central.
    pub pushed: bool,
    /// Its writers.
    pub writers: Writers,
    /// The meaning of deleting.
    pub deletion: Deletion,
    /// Store and name of its changelog row.
    pub scope: Scope,
    /// The tables that are integrated before it, wire names.
    pub after: &'static [&'static str],
    /// The first release that has it.
    pub since: &'static str,
    /// The first release without it; `None` while it is in use.
    pub removed: Option<&'static str>,
    /// The field that equals the record id.
    pub key: &'static str,
    /// Its fields, in the order of the spec.
    pub fields: &'static [Field],
    /// Reads data into the Rust type and writes it again.
    pub(crate) rewrite: fn(&RecordData) -> Result<RecordData, FieldError>,
}

impl RecordType {
    /// True if a new record of it takes nothing from anybody: it is added to another record, or to none. The simulator
    /// has its own list (`ADDED` in `tests/sim/src/judge.rs`).
    pub fn is_only_added(&self) -> bool {
        matches!(self.table, "asset_log" | "contact_form" | "sync_file_reference" | "system_log")
    }

    /// True if Open mSupply writes records of it once and never edits them (`record-types`: "append-only", "write-once").
    /// A host cannot change one. The wire carries a changed one, and receivers treat it differently: most take an asset log,
    /// and none takes a system log that they have already.
    pub fn is_written_once(&self) -> bool {
        matches!(self.table, "asset_log" | "contact_form" | "system_log")
    }

    /// Reads a record's data into its Rust type and writes it again: keys in alphabetical order, unknown keys included.
    ///
    /// # Errors
    /// The first thing that is wrong, by JSON path.
    pub fn rewrite(&self, data: &RecordData) -> Result<RecordData, FieldError> {
        (self.rewrite)(data)
    }

    /// Checks a record's data against the declared fields and gives a view into it. Unknown keys are fine.
    ///
    /// # Errors
    /// The first thing that is wrong, by JSON path: not an object, a missing key, a value of another kind.
    pub fn check<'a>(&self, data: &'a RecordData) -> Result<Fields<'a>, FieldError> {
        data.check_portable()?;
        self.check_fields(data)
    }

    /// Checks data that every peer can read, from a host or a site.
    pub(crate) fn check_written<'a>(&self, data: &'a RecordData) -> Result<Fields<'a>, FieldError> {
        let fields = data.fields().ok_or_else(|| not_an_object(data))?;
        self.fields.iter().try_for_each(|field| field.check_written(&fields))?;
        Ok(fields)
    }

    /// Checks data that every peer can read.
    pub(crate) fn check_fields<'a>(&self, data: &'a RecordData) -> Result<Fields<'a>, FieldError> {
        let fields = data.fields().ok_or_else(|| not_an_object(data))?;
        for field in self.fields {
            field.check(&fields)?;
        }
        Ok(fields)
    }

    /// The declaration of a field by its wire name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field that a misspelled name resembles most.
    pub(crate) fn similar_field(&self, typed: &str) -> Option<&'static str> {
        similar(typed, self.fields.iter().map(|field| field.name))
    }

    /// True if a Delete on the wire is understood and sent.
    pub fn deletes_on_wire(&self) -> bool {
        matches!(self.deletion, Deletion::Wire | Deletion::SoftAndWire(_))
    }

    /// The data for a peer of v2.17.0 or later: older spellings renamed, mandatory keys that older releases do not send
    /// filled in. `None` if nothing changes, which is nearly always.
    pub fn in_current_spelling(&self, data: &RecordData) -> Option<RecordData> {
        if self.fields.iter().all(|f| f.aliases.is_empty() && f.added.is_none()) {
            return None;
        }
        let fields = data.fields()?;
        let outdated = |field: &&Field| {
            fields.get(field.name).is_none() && (field.added.is_some() || field.find(&fields).is_some())
        };
        if !self.fields.iter().any(|field| outdated(&field)) {
            return None;
        }
        let renamed =
            |key: &str| self.fields.iter().filter(outdated).find(|f| f.aliases.contains(&key)).map(|f| f.name);
        let mut out: Vec<(String, &str)> = Vec::new();
        for (key, value) in fields.iter() {
            out.push((renamed(key).unwrap_or(key).to_owned(), value.get()));
        }
        for field in self.fields.iter().filter(outdated).filter(|f| f.find(&fields).is_none()) {
            out.push((field.name.to_owned(), field.default.unwrap_or("null")));
        }
        let body: Vec<String> =
            out.iter().map(|(key, value)| format!("{}:{value}", serde_json::Value::from(key.as_str()))).collect();
        RecordData::parse(format!("{{{}}}", body.join(","))).ok()
    }
}

/// Declares a record type: its rules, and the struct that reads, checks and builds its data. Without a word, its key is
/// `id`, its scope is `Scope::None`, and no table is integrated before it.
macro_rules! record_type {
    (
        $(#[$doc:meta])*
        pub struct $name:ident($table:literal, $id:ident) {
            $(changelog: $changelog:literal,)?
            group: $group:ident,
            style: $style:ident,
            pulled: $pulled:literal,
            pushed: $pushed:literal,
            writers: $writers:ident,
            deletion: $deletion:expr,
            $(scope: $scope:expr,)?
            $(after: [$($after:literal),* $(,)?],)?
            since: $since:literal,
            $(removed: $removed:literal,)?
            $(key: $key:literal,)?
            fields: {
                $(
                    $(#[$field_doc:meta])*
                    $field:ident: $type:ty = $wire:literal $(. $rule:ident ( $($arg:expr),* ))*,
                )*
            }
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        #[allow(missing_docs, reason = "a field without a sentence is what its key on the wire says")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Keys that this version does not know, kept as they came.
            pub unknown: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>,
        }

        #[doc = concat!("The id of a record of `", $table, "`.")]
        pub type $id = $crate::record::TypedId<$name>;

        impl $crate::record::TypedRecord for $name {
            const TYPE: &'static $crate::record::RecordType = {
                static TYPE: $crate::record::RecordType = $crate::record::RecordType {
                    table: $table,
                    changelog_name: record_type!(@first $($changelog,)? $table),
                    group: $crate::record::Group::$group,
                    style: $crate::record::SyncStyle::$style,
                    pulled: $pulled,
                    pushed: $pushed,
                    writers: $crate::record::Writers::$writers,
                    deletion: $deletion,
                    scope: record_type!(@first $($scope,)? $crate::record::Scope::None),
                    after: &[$($($after),*)?],
                    since: $since,
                    removed: record_type!(@option $($removed)?),
                    key: record_type!(@first $($key,)? "id"),
                    fields: &[
                        $($crate::record::Field::of::<$type>($wire)$(.$rule($($arg),*))*,)*
                    ],
                    rewrite: |data| Ok($crate::record::TypedRecord::write(&<$name>::read(data)?)),
                };
                &TYPE
            };

            fn read(data: &$crate::record::RecordData) -> Result<Self, $crate::record::FieldError> {
                let reader = $crate::record::field::FieldReader::new(Self::TYPE.fields, data)?;
                let mut index = 0;
                let mut next = || { index += 1; index - 1 };
                Ok(Self { $($field: reader.take(next())?,)* unknown: reader.unknown() })
            }

            fn write(&self) -> $crate::record::RecordData {
                use $crate::record::FieldValue as _;
                let mut out: std::collections::BTreeMap<&str, Box<serde_json::value::RawValue>> =
                    self.unknown.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
                $(out.insert($wire, self.$field.write());)*
                // An end of an older release may refuse null where it expects no key.
                for field in Self::TYPE.fields.iter().filter(|field| field.optional_since.is_some()) {
                    let came = self.unknown.contains_key(field.name);
                    if !came && out.get(field.name).is_some_and(|value| value.get() == "null") {
                        out.remove(field.name);
                    }
                }
                $crate::record::RecordData::of(&out)
            }
        }
    };
    (@first $first:expr $(, $rest:expr)*) => { $first };
    (@option) => { None };
    (@option $value:literal) => { Some($value) };
}
pub(crate) use record_type;

/// Declares an enumeration by its exact spellings on the wire.
macro_rules! wire_enum {
    ($(#[$doc:meta])* pub enum $name:ident { $($variant:ident = $wire:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each is its spelling on the wire")]
        #[non_exhaustive]
        pub enum $name {
            $($variant,)*
            /// A spelling that this version does not know, kept as it came. It can be read, and no record with it is
            /// written or integrated. A new value has the empty one.
            Other(String),
        }

        impl Default for $name {
            fn default() -> Self {
                Self::Other(String::new())
            }
        }

        impl $name {
            /// The exact spellings on the wire.
            pub const SPELLINGS: &'static [&'static str] = &[$($wire),*];

            /// The spelling on the wire.
            pub fn as_str(&self) -> &str {
                match self { $(Self::$variant => $wire,)* Self::Other(text) => text }
            }

            /// Reads a spelling that this version knows; case counts.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($wire => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<$name> for $crate::record::Scalar {
            fn from(value: $name) -> Self {
                Self::Text(value.as_str().to_owned())
            }
        }

        impl From<&$name> for $crate::record::Scalar {
            fn from(value: &$name) -> Self {
                Self::Text(value.as_str().to_owned())
            }
        }

        impl $crate::record::FieldValue for $name {
            const KIND: $crate::record::FieldKind = $crate::record::FieldKind::Enum(stringify!($name), Self::SPELLINGS);

            fn read(raw: &serde_json::value::RawValue) -> Option<Self> {
                serde_json::from_str::<String>(raw.get()).ok().map(|text| Self::parse(&text).unwrap_or(Self::Other(text)))
            }

            fn write(&self) -> Box<serde_json::value::RawValue> {
                self.as_str().to_owned().write()
            }
        }
    };
}
pub(crate) use wire_enum;

/// A record whose fields have Rust types. Implemented by the record types of this crate.
///
/// The `Default` of each has empty texts, zeros and, for dates and enumerations, a value that no record may have: a new
/// record in which a mandatory one is forgotten is refused by the name of the field.
///
/// ```
/// use sync_core::record::{AssetLog, AssetLogStatus};
///
/// let log = AssetLog {
///     id: "log-1".into(),
///     asset_id: "fridge-1".into(),
///     status: Some(AssetLogStatus::Functioning),
///     log_datetime: "2026-11-23T08:00:00".parse()?,
///     ..AssetLog::default()
/// };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait TypedRecord: Sized + Default + 'static {
    /// The declaration of the type.
    const TYPE: &'static RecordType;

    /// Reads and checks a record's data. An enumeration may have a spelling that this version does not know.
    ///
    /// # Errors
    /// The first thing that is wrong, by JSON path.
    fn read(data: &RecordData) -> Result<Self, FieldError>;

    /// Builds a record's data: keys in alphabetical order, unknown keys included.
    fn write(&self) -> RecordData;
}
