//! Record types by their wire name, with their Rust types.

use sync_core::record::{self, FieldError, RecordData, RecordType, TypedRecord};

/// A record type together with its Rust type.
#[derive(Clone, Copy)]
pub struct Typed {
    /// Its declaration.
    pub kind: &'static RecordType,
    /// Reads data into the Rust type and writes it again.
    pub round_trip: fn(&RecordData) -> Result<RecordData, FieldError>,
}

fn round_trip<T: TypedRecord>(data: &RecordData) -> Result<RecordData, FieldError> {
    T::read(data).map(|record| record.write())
}

macro_rules! typed {
    ($($name:ident,)*) => {
        &[$(Typed { kind: <record::$name as TypedRecord>::TYPE, round_trip: round_trip::<record::$name> }),*]
    };
}

/// All of them, by table.
pub const ALL: &[Typed] = typed! {
    AncillaryItem, Asset, AssetCatalogueItem, AssetCatalogueItemProperty, AssetCatalogueProperty, AssetCatalogueType,
    AssetCategory, AssetClass, AssetInternalLocation, AssetLog, AssetLogReason, AssetProperty, BackendPlugin, Campaign,
    ContactForm, Demographic, DemographicIndicator, FrontendPlugin, ItemVariant, Name, NameOmsFields, NameProperty,
    NameStoreJoin, OmFormSchema, OmReport, PackVariant, PackagingVariant, PluginData, Preference, Property, RnrForm,
    RnrFormLine, SyncFileReference, SystemLog, Vaccination, VaccineCourse, VaccineCourseDose, VaccineCourseItem,
    VaccineCourseStoreConfig,
};

/// The record type of a table, with its Rust type.
pub fn typed(table: &str) -> Option<Typed> {
    ALL.iter().find(|typed| typed.kind.table == table).copied()
}

/// A record's data as a value, for comparing without the order of keys.
pub fn value(data: &RecordData) -> serde_json::Value {
    serde_json::from_str(data.as_str()).expect("record data is JSON")
}
