//! The record types, one a file; the list below is the registry.

macro_rules! record_types {
    ($($module:ident::$name:ident,)*) => {
        $(mod $module; pub use $module::*;)*
        pub(crate) use name::is_patient;

        /// Every record type, sorted by wire table name.
        pub(super) const ALL: &[&super::RecordType] = &[$(<$name as super::TypedRecord>::TYPE),*];
    };
}

record_types! {
    ancillary_item::AncillaryItem,
    asset::Asset,
    asset_catalogue_item::AssetCatalogueItem,
    asset_catalogue_item_property::AssetCatalogueItemProperty,
    asset_catalogue_property::AssetCatalogueProperty,
    asset_catalogue_type::AssetCatalogueType,
    asset_category::AssetCategory,
    asset_class::AssetClass,
    asset_internal_location::AssetInternalLocation,
    asset_log::AssetLog,
    asset_log_reason::AssetLogReason,
    asset_property::AssetProperty,
    backend_plugin::BackendPlugin,
    campaign::Campaign,
    contact_form::ContactForm,
    demographic::Demographic,
    demographic_indicator::DemographicIndicator,
    frontend_plugin::FrontendPlugin,
    help_document::HelpDocument,
    item_variant::ItemVariant,
    name::Name,
    name_oms_fields::NameOmsFields,
    name_property::NameProperty,
    name_store_join::NameStoreJoin,
    om_form_schema::OmFormSchema,
    om_report::OmReport,
    om_sync_message::OmSyncMessage,
    pack_variant::PackVariant,
    packaging_variant::PackagingVariant,
    plugin_data::PluginData,
    preference::Preference,
    property::Property,
    rnr_form::RnrForm,
    rnr_form_line::RnrFormLine,
    sync_file_reference::SyncFileReference,
    system_log::SystemLog,
    vaccination::Vaccination,
    vaccine_course::VaccineCourse,
    vaccine_course_dose::VaccineCourseDose,
    vaccine_course_item::VaccineCourseItem,
    vaccine_course_store_config::VaccineCourseStoreConfig,
}
