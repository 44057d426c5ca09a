//! Enumerations of the record types, by their exact spellings; case counts.

use serde_json::value::RawValue;

use super::field_value::{FieldKind, FieldValue};
use super::record_type::wire_enum;

wire_enum! {
    /// The type of a property.
    pub enum PropertyValueType {
        String = "STRING",
        Boolean = "BOOLEAN",
        Integer = "INTEGER",
        Float = "FLOAT",
        Date = "DATE",
    }
}

wire_enum! {
    /// The functional status of an asset.
    pub enum AssetLogStatus {
        NotInUse = "NOT_IN_USE",
        Functioning = "FUNCTIONING",
        FunctioningButNeedsAttention = "FUNCTIONING_BUT_NEEDS_ATTENTION",
        NotFunctioning = "NOT_FUNCTIONING",
        Decommissioned = "DECOMMISSIONED",
        Unserviceable = "UNSERVICEABLE",
    }
}

wire_enum! {
    /// The subject of an asset log.
    pub enum AssetLogType {
        StatusUpdate = "STATUS_UPDATE",
        TemperatureMapping = "TEMPERATURE_MAPPING",
    }
}

wire_enum! {
    /// The purpose of a backend plugin.
    pub enum PluginType {
        AverageMonthlyConsumption = "average_monthly_consumption",
        TransformRequestRequisitionLines = "transform_request_requisition_lines",
        GetConsumption = "get_consumption",
        GraphqlQuery = "graphql_query",
        Processor = "processor",
        Schedule = "schedule",
    }
}

wire_enum! {
    /// The engine that runs a backend plugin.
    pub enum PluginVariantType {
        BoaJs = "BOA_JS",
    }
}

wire_enum! {
    /// The reason of a message.
    pub enum ContactType {
        Feedback = "FEEDBACK",
        Support = "SUPPORT",
    }
}

wire_enum! {
    /// The gender of a patient.
    pub enum Gender {
        Female = "FEMALE",
        Male = "MALE",
        Transgender = "TRANSGENDER",
        TransgenderMale = "TRANSGENDER_MALE",
        TransgenderMaleHormone = "TRANSGENDER_MALE_HORMONE",
        TransgenderMaleSurgical = "TRANSGENDER_MALE_SURGICAL",
        TransgenderFemale = "TRANSGENDER_FEMALE",
        TransgenderFemaleHormone = "TRANSGENDER_FEMALE_HORMONE",
        TransgenderFemaleSurgical = "TRANSGENDER_FEMALE_SURGICAL",
        Unknown = "UNKNOWN",
        NonBinary = "NON_BINARY",
    }
}

wire_enum! {
    /// The place where a report is offered.
    pub enum ReportContext {
        Asset = "ASSET",
        InboundShipment = "INBOUND_SHIPMENT",
        OutboundShipment = "OUTBOUND_SHIPMENT",
        Requisition = "REQUISITION",
        Stocktake = "STOCKTAKE",
        Resource = "RESOURCE",
        Patient = "PATIENT",
        Dispensary = "DISPENSARY",
        Repack = "REPACK",
        OutboundReturn = "OUTBOUND_RETURN",
        InboundReturn = "INBOUND_RETURN",
        Report = "REPORT",
        Prescription = "PRESCRIPTION",
        InternalOrder = "INTERNAL_ORDER",
        PurchaseOrder = "PURCHASE_ORDER",
        SupplierReturn = "SUPPLIER_RETURN",
        CustomerReturn = "CUSTOMER_RETURN",
    }
}

wire_enum! {
    /// The state of an R&R form.
    pub enum RnRFormStatus {
        Draft = "DRAFT",
        Finalised = "FINALISED",
    }
}

wire_enum! {
    /// The urgency of a line with low stock.
    pub enum RnRFormLowStock {
        Ok = "OK",
        BelowHalf = "BELOW_HALF",
        BelowQuarter = "BELOW_QUARTER",
    }
}

wire_enum! {
    /// The kind of event in a system log.
    pub enum SystemLogType {
        ProcessorError = "ProcessorError",
        LedgerFixError = "LedgerFixError",
        LedgerFix = "LedgerFix",
        Migration = "Migration",
        ServerStatus = "ServerStatus",
        SyncTranslationFkError = "SyncTranslationFkError",
    }
}

/// A gender in the legacy row format: `""` for none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LegacyGender(pub Option<Gender>);

impl FieldValue for LegacyGender {
    const KIND: FieldKind = FieldKind::LegacyEnum("Gender", Gender::SPELLINGS);

    fn read(raw: &RawValue) -> Option<Self> {
        if raw.get() == "\"\"" { Some(Self(None)) } else { Gender::read(raw).map(|gender| Self(Some(gender))) }
    }

    fn write(&self) -> Box<RawValue> {
        self.0.as_ref().map_or("", Gender::as_str).to_owned().write()
    }
}

impl FieldValue for Vec<PluginType> {
    const KIND: FieldKind = FieldKind::EnumList("PluginType", PluginType::SPELLINGS);

    fn read(raw: &RawValue) -> Option<Self> {
        let list: Vec<String> = serde_json::from_str(raw.get()).ok()?;
        Some(list.into_iter().map(|text| PluginType::parse(&text).unwrap_or(PluginType::Other(text))).collect())
    }

    fn write(&self) -> Box<RawValue> {
        let list: Vec<&str> = self.iter().map(|kind| kind.as_str()).collect();
        serde_json::value::to_raw_value(&list).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}
