//! The kinds of fields of the legacy tables that sites own, as far as Open mSupply's own translation of these tables tells. They are
//! checked when a host writes a record, because Open mSupply refuses, or reads wrongly, what is of another kind.
//!
//! The legacy server writes an empty text for what is missing, and `0000-00-00` for a missing date; null stands for both. A record that a
//! server sends is never checked here.

use serde_json::value::RawValue;

use super::datetime::is_written_legacy_date;
use super::field_error::FieldError;
use super::field_value::describe;
use super::json::{Fields, string};
use super::legacy_table::{LegacyTable, STORE_KEYS};

/// The kind of a field. Null is of every kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LegacyKind {
    /// A text, as each id is.
    Text,
    /// A number, also as text.
    Number,
    /// True or false.
    Flag,
    /// A date, or a date with a time.
    Date,
    /// Seconds since midnight, or `HH:MM:SS`.
    Time,
    /// An object, or an empty text for none.
    Object,
}

use LegacyKind::{Date, Flag, Number, Object, Text, Time};

/// The fields of each table that sites own, by kind, sorted by table. A field that is not here may hold anything: Open mSupply does not read
/// it, or, as the `data` of `om_document`, takes any value. The dates of `encounter` are written with a zone, so they are only texts.
const FIELDS: &[(&str, LegacyKind, &str)] = &[
    ("Goods_received", Text, "comment donor_id purchase_order_ID status supplier_reference user_id_created"),
    ("Goods_received", Number, "serial_number"),
    ("Goods_received", Date, "entry_date received_date"),
    ("Goods_received_line", Text, "batch_received comment item_ID item_name location_ID order_line_ID"),
    ("Goods_received_line", Number, "cost_price pack_received quantity_received volume_per_pack"),
    ("Goods_received_line", Date, "expiry_date"),
    ("Location", Text, "Description code"),
    ("Location", Flag, "hold"),
    (
        "Stock_take",
        Text,
        "Description comment created_by_ID invad_additions_ID invad_reductions_ID om_counted_by om_verified_by programID \
         status",
    ),
    ("Stock_take", Number, "serial_number"),
    ("Stock_take", Flag, "Locked om_is_initial_stocktake"),
    ("Stock_take", Date, "om_created_datetime om_finalised_datetime stock_take_created_date stock_take_date"),
    ("Stock_take", Time, "stock_take_time"),
    ("Stock_take_lines", Text, "Batch comment item_ID item_line_ID item_name location_id om_note optionID"),
    ("Stock_take_lines", Number, "cost_price sell_price snapshot_packsize snapshot_qty stock_take_qty"),
    ("Stock_take_lines", Flag, "is_edited"),
    ("Stock_take_lines", Date, "expiry"),
    ("barcode", Text, "barcode itemID manufacturerID parentID"),
    ("barcode", Number, "packSize"),
    ("clinician", Text, "address1 address2 code email first_name initials last_name mobile phone registration_code"),
    ("clinician", Flag, "active female"),
    ("clinician_store_join", Text, "prescriber_ID"),
    (
        "contact",
        Text,
        "address1 address2 category category2 category3 comment country email first last name_ID phone position",
    ),
    (
        "encounter",
        Text,
        "created_datetime document_name document_type end_datetime name_ID prescriber_ID program_ID start_datetime status",
    ),
    ("indicator_value", Text, "column_ID facility_ID period_ID row_ID value"),
    (
        "item_line",
        Text,
        "barcodeID batch donor_id item_ID location_ID manufacturer_ID name_ID note om_item_variant_id vvm_status_id",
    ),
    ("item_line", Number, "available cost_price pack_size quantity sell_price total_volume volume_per_pack"),
    ("item_line", Flag, "hold"),
    ("item_line", Date, "expiry_date"),
    ("item_store_join", Text, "item_ID"),
    ("item_store_join", Number, "default_price margin"),
    ("item_store_join", Flag, "ignore_for_orders"),
    ("location_movement", Text, "item_line_ID location_ID"),
    ("location_movement", Date, "enter_date exit_date"),
    ("location_movement", Time, "enter_time exit_time"),
    ("message", Text, "error_message fromStoreID status toStoreID type"),
    ("message", Date, "createdDate"),
    ("message", Time, "createdTime"),
    (
        "nameInsuranceJoin",
        Text,
        "enteredByID insuranceProviderID nameID policyNumberFamily policyNumberFull policyNumberPerson type",
    ),
    ("nameInsuranceJoin", Number, "discountRate"),
    ("nameInsuranceJoin", Flag, "isActive"),
    ("nameInsuranceJoin", Date, "expiryDate"),
    ("nameInsuranceJoin", Object, "oms_fields"),
    ("om_activity_log", Text, "changed_from changed_to record_ID type user_ID"),
    ("om_activity_log", Date, "datetime"),
    ("om_document", Text, "context_ID form_schema_ID name owner_name_ID parent_IDs status type user_ID"),
    ("om_document", Date, "datetime"),
    (
        "purchase_order",
        Text,
        "additional_instructions authorizing_officer_1 authorizing_officer_2 comment created_by currency_ID \
         delivery_method donor_id freight_conditions heading_message name_ID reference status supplier_agent",
    ),
    (
        "purchase_order",
        Number,
        "Order_total_after_discount Order_total_before_discount agent_commission communications_charge curr_rate \
         document_charge freight_charge insurance_charge serial_number supplier_discount_amount target_months",
    ),
    ("purchase_order", Flag, "is_authorised"),
    (
        "purchase_order",
        Date,
        "Date_advance_payment Date_contract_signed Date_goods_received_at_port confirm_date creation_date po_sent_date \
         requested_delivery_date",
    ),
    ("purchase_order", Object, "oms_fields"),
    ("purchase_order_line", Text, "comment item_ID item_name manufacturer_ID note pack_units supplier_item_code"),
    (
        "purchase_order_line",
        Number,
        "line_number packsize_ordered price_expected_after_discount price_extension_expected \
         price_per_pack_before_discount quan_adjusted_order quan_original_order snapshot_quantity",
    ),
    ("purchase_order_line", Date, "delivery_date_expected delivery_date_requested"),
    ("purchase_order_line", Object, "oms_fields"),
    (
        "requisition",
        Text,
        "authorisationStatus comment linked_requisition_id name_ID om_colour om_status orderType periodID programID \
         requester_reference status type user_ID",
    ),
    ("requisition", Number, "daysToSupply lastModifiedAt om_max_months_of_stock serial_number thresholdMOS"),
    ("requisition", Flag, "is_emergency"),
    (
        "requisition",
        Date,
        "date_entered om_created_datetime om_expected_delivery_date om_finalised_datetime om_sent_datetime",
    ),
    ("requisition_line", Text, "authoriser_comment comment itemName item_ID optionID"),
    (
        "requisition_line",
        Number,
        "Cust_prev_stock_balance Cust_stock_issued Cust_stock_order Cust_stock_received actualQuan approved_quantity \
         daily_usage days_out_or_new_demand stockAdditions stockExpiring stockLosses stock_on_hand suggested_quantity",
    ),
    ("requisition_line", Date, "om_snapshot_datetime"),
    ("sensor", Text, "locationID macAddress name"),
    ("sensor", Number, "batteryLevel logInterval"),
    ("sensor", Flag, "is_active"),
    ("sensor", Date, "lastConnectionDate om_last_connection_datetime"),
    ("sensor", Time, "lastConnectionTime"),
    ("temperature_breach", Text, "location_ID sensor_ID type"),
    (
        "temperature_breach",
        Number,
        "duration threshold_duration threshold_maximum_temperature threshold_minimum_temperature",
    ),
    ("temperature_breach", Flag, "acknowledged"),
    ("temperature_breach", Date, "end_date start_date"),
    ("temperature_breach", Time, "end_time start_time"),
    ("temperature_log", Text, "location_ID sensor_ID temperature_breach_ID"),
    ("temperature_log", Number, "temperature"),
    ("temperature_log", Date, "date om_datetime"),
    ("temperature_log", Time, "time"),
    (
        "trans_line",
        Text,
        "batch donor_id item_ID item_line_ID item_name linked_transact_id location_ID manufacturer_ID note om_item_code \
         om_item_variant_id optionID type vaccine_vial_monitor_status_ID",
    ),
    (
        "trans_line",
        Number,
        "cost_price foreign_currency_price om_tax om_total_after_tax om_total_before_tax pack_size prescribedQuantity \
         quantity sell_price sentQuantity sent_pack_size volume_per_pack",
    ),
    ("trans_line", Date, "expiry_date"),
    (
        "transact",
        Text,
        "comment currency_ID diagnosis_ID linked_transaction_id mode name_ID om_colour om_original_shipment_id om_status \
         om_transport_reference om_type prescriber_ID programID requisition_ID status their_ref type user_ID",
    ),
    ("transact", Number, "currency_rate invoice_num tax_rate"),
    ("transact", Flag, "hold"),
    (
        "transact",
        Date,
        "arrival_date_actual confirm_date entry_date om_allocated_datetime om_backdated_datetime om_created_datetime \
         om_delivered_datetime om_picked_datetime om_shipped_datetime om_verified_datetime ship_date",
    ),
    ("transact", Time, "confirm_time entry_time"),
    ("vaccine_vial_monitor_status_log", Text, "comment item_line_ID status_ID trans_line_ID user_ID"),
    ("vaccine_vial_monitor_status_log", Date, "date"),
    ("vaccine_vial_monitor_status_log", Time, "time"),
];

impl LegacyTable {
    /// True for a field that holds a date, or a date with a time.
    pub(super) fn is_date(&self, field: &str) -> bool {
        let mut dates = FIELDS.iter().filter(|(table, kind, _)| *table == self.table && *kind == Date);
        dates.any(|(.., keys)| keys.split(' ').any(|key| key == field))
    }

    /// The names of the fields that are known: those with a kind, and those of its id, its store and its parent. A record may have others.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        let declared = FIELDS.iter().filter(|(table, ..)| *table == self.table);
        let owners = STORE_KEYS.into_iter().chain(self.parent_field());
        ["ID"].into_iter().chain(owners).chain(declared.flat_map(|(.., keys)| keys.split(' ')))
    }

    /// Checks the kinds of the fields of a record that a host writes. A missing field is none of another kind, and a value that is stored
    /// already came from a server: the host may write it back. What decides who owns a record, its store and its parent, is a text in every
    /// table.
    ///
    /// # Errors
    /// The first field with a value of another kind.
    pub(crate) fn check_kinds(&self, fields: &Fields<'_>, stored: Option<&Fields<'_>>) -> Result<(), FieldError> {
        let owners = STORE_KEYS.into_iter().chain(self.parent_field()).map(|key| (key, Text));
        let declared = FIELDS.iter().filter(|(table, ..)| *table == self.table);
        let all = owners.chain(declared.flat_map(|(_, kind, keys)| keys.split(' ').map(|key| (key, *kind))));
        for (key, kind) in all {
            let is_stored = |raw: &RawValue| {
                stored.and_then(|stored| stored.get(key)).is_some_and(|before| before.get() == raw.get())
            };
            if let Some(raw) = fields.get(key).filter(|raw| !kind.accepts(raw) && !is_stored(raw)) {
                return Err(FieldError {
                    path: format!("$.{key}"),
                    expected: kind.describe().into(),
                    found: describe(raw),
                    unsupported: false,
                });
            }
        }
        Ok(())
    }
}

impl LegacyKind {
    fn accepts(self, raw: &RawValue) -> bool {
        if raw.get() == "null" {
            return true;
        }
        let text = string(raw);
        let is_number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
        match self {
            Text => text.is_some(),
            Number => is_number(raw.get()) || text.is_some_and(|text| text.is_empty() || is_number(text.trim())),
            Flag => matches!(raw.get(), "true" | "false"),
            Date => text.is_some_and(|text| is_written_legacy_date(&text)),
            Time => is_number(raw.get()) || text.is_some_and(|text| is_time(&text)),
            Object => raw.get().starts_with('{') || text.is_some_and(|text| text.is_empty()),
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Text => "a string",
            Number => "a number",
            Flag => "true or false",
            Date => "a date or date-time, or an empty string",
            Time => "seconds since midnight, or a time HH:MM:SS",
            Object => "an object, or an empty string",
        }
    }
}

/// True for `HH:MM:SS`, also with parts of a second, and for none.
fn is_time(text: &str) -> bool {
    let (whole, parts) = text.split_once('.').unwrap_or((text, "0"));
    let is_below = |text: &str, end: u8| text.len() == 2 && text.parse::<u8>().is_ok_and(|value| value < end);
    let is_clock = match whole.split(':').collect::<Vec<_>>()[..] {
        [hours, minutes, seconds] => is_below(hours, 24) && is_below(minutes, 60) && is_below(seconds, 60),
        _ => false,
    };
    text.is_empty() || (is_clock && parts.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::legacy_table::OWNED_BY_SITES;
    use crate::record::{RecordData, owned_by_sites};

    fn check(table: &str, data: &serde_json::Value) -> Result<(), String> {
        let data = RecordData::of(data);
        let fields = data.fields().unwrap();
        owned_by_sites(table).unwrap().check_kinds(&fields, None).map_err(|fault| fault.says().to_string())
    }

    #[test]
    fn each_table_that_sites_own_has_rows_and_each_field_has_one_kind() {
        assert!(FIELDS.is_sorted_by_key(|(table, ..)| *table));
        let mut tables: Vec<_> = FIELDS.iter().map(|(table, ..)| *table).collect();
        tables.dedup();
        assert_eq!(tables, OWNED_BY_SITES.iter().map(|known| known.table).collect::<Vec<_>>());
        let mut all = Vec::new();
        for (table, _, keys) in FIELDS {
            assert!(keys.split(' ').is_sorted() && keys.split(' ').all(|key| !key.is_empty()), "{table}: {keys}");
            all.extend(keys.split(' ').map(|key| (*table, key)));
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a field stands twice");
    }

    #[test]
    fn the_spellings_of_the_legacy_server_and_of_open_msupply_are_accepted() {
        for (key, values) in [
            ("hold", serde_json::json!([true, false, null])),
            ("comment", serde_json::json!(["", "said", null])),
            ("invoice_num", serde_json::json!([7, 7.5, -1, "7", "", null])),
            ("entry_date", serde_json::json!(["2024-03-01", "0000-00-00", "", null, "2024-03-01T00:00:00"])),
            ("om_created_datetime", serde_json::json!(["2022-08-24T09:33:00", "2022-08-24T09:33:00.123", "", null])),
            ("entry_time", serde_json::json!([0, 47046, "08:00:00", "23:59:59.999", "", null])),
            ("Colour", serde_json::json!([{ "any": "thing" }])),
        ] {
            for value in values.as_array().unwrap() {
                assert_eq!(check("transact", &serde_json::json!({ key: value })), Ok(()), "{key}");
            }
        }
    }

    /// Records as the two servers write them, one for each table whose kinds are not in the test above.
    #[test]
    fn a_record_as_open_msupply_writes_it_is_accepted_and_no_field_of_it_may_be_of_another_kind() {
        for (table, record) in written_by_open_msupply() {
            assert_eq!(check(table, &record), Ok(()), "{table}");
            let keys: Vec<_> = record.as_object().unwrap().keys().collect();
            let declared = FIELDS.iter().filter(|(known, ..)| *known == table).flat_map(|(_, _, keys)| keys.split(' '));
            for key in declared {
                assert!(keys.contains(&&key.to_string()), "{table}: the record has no {key}");
                // A list is of no kind.
                let mut other = record.clone();
                other[key] = serde_json::json!([]);
                let fault = check(table, &other).unwrap_err();
                assert!(fault.contains(&format!("$.{key}")), "{table}: {fault}");
            }
        }
    }

    fn written_by_open_msupply() -> Vec<(&'static str, serde_json::Value)> {
        serde_json::from_str::<Vec<(String, serde_json::Value)>>(include_str!("legacy_fields_written.json"))
            .unwrap()
            .into_iter()
            .map(|(table, record)| (owned_by_sites(&table).unwrap().table, record))
            .collect()
    }

    #[test]
    fn a_value_of_another_kind_is_named_with_its_field() {
        for (table, key, value, expected) in [
            ("transact", "hold", serde_json::json!("false"), "true or false"),
            ("transact", "invoice_num", serde_json::json!("seven"), "a number"),
            ("transact", "comment", serde_json::json!(5), "a string"),
            ("transact", "entry_date", serde_json::json!("1 March"), "a date"),
            ("transact", "entry_time", serde_json::json!("8 o'clock"), "seconds since midnight"),
            ("transact", "name_ID", serde_json::json!(["N"]), "a string"),
            ("trans_line", "quantity", serde_json::json!(true), "a number"),
            ("trans_line", "transaction_ID", serde_json::json!(5), "a string"),
            ("requisition_line", "requisition_ID", serde_json::json!({}), "a string"),
            // A store that is no text would make a record nobody's.
            ("barcode", "store_ID", serde_json::json!(5), "a string"),
            ("contact", "store_id", serde_json::json!(["STORE_1"]), "a string"),
            ("sensor", "storeID", serde_json::json!({}), "a string"),
            ("sensor", "batteryLevel", serde_json::json!("full"), "a number"),
            ("sensor", "is_active", serde_json::json!(1), "true or false"),
            ("temperature_breach", "start_date", serde_json::json!(20230701), "a date"),
            ("location_movement", "exit_time", serde_json::json!("25:00:00"), "seconds since midnight"),
            ("purchase_order", "oms_fields", serde_json::json!("{}"), "an object"),
            ("item_store_join", "margin", serde_json::json!(false), "a number"),
            ("om_activity_log", "datetime", serde_json::json!("yesterday"), "a date"),
        ] {
            let fault = check(table, &serde_json::json!({ key: value })).unwrap_err();
            assert!(fault.contains(&format!("$.{key}")) && fault.contains(expected), "{fault}");
        }
    }
}
