//! Rows in the format of the legacy server: an empty text for a missing value, `0000-00-00` for a missing date.
//!
//! Those of `name` and `store` have every key that a real site received; the others have the keys that Open mSupply
//! reads, and some that it ignores.

use serde_json::{Map, Value, json};

use sync_core::record::SiteId;

/// A template with some of its keys changed.
fn filled(template: &str, changes: Value) -> Value {
    let mut row: Map<String, Value> = serde_json::from_str(template).unwrap_or_default();
    if let Value::Object(changes) = changes {
        row.extend(changes);
    }
    Value::Object(row)
}

/// A name of a type: `facility`, `patient`, `store` and others. All but patients are customer and supplier.
pub fn name(id: &str, code: &str, name: &str, of_type: &str) -> Value {
    let trades = of_type != "patient";
    let changes = json!({
        "ID": id, "name": name, "code": code, "charge code": code, "type": of_type, "customer": trades, "supplier": trades,
    });
    filled(include_str!("rows/name.json"), changes)
}

/// A patient, as a name.
pub fn patient(id: &str, code: &str, first: &str, last: &str, date_of_birth: &str) -> Value {
    let changes = json!({
        "ID": id, "name": format!("{last}, {first}"), "code": code, "charge code": code, "type": "patient", "customer": true,
        "first": first, "last": last, "date_of_birth": date_of_birth,
    });
    filled(include_str!("rows/name.json"), changes)
}

/// A store in dispensary mode, active on a site.
pub fn store(id: &str, name_id: &str, code: &str, site: SiteId) -> Value {
    let changes = json!({
        "ID": id, "name": format!("Store {code}"), "code": code, "name_ID": name_id, "sync_id_remote_site": site.0,
    });
    filled(include_str!("rows/store.json"), changes)
}

/// The link of a name with a store that sees it.
pub fn name_store_join(id: &str, name_id: &str, store_id: &str) -> Value {
    json!({ "ID": id, "name_ID": name_id, "store_ID": store_id, "inactive": false, "spare_hold": false })
}

/// A unit.
pub fn unit(id: &str, units: &str) -> Value {
    json!({ "ID": id, "units": units, "comment": "", "order_number": 0 })
}

/// An item that is kept in stock.
pub fn item(id: &str, code: &str, name: &str, unit_id: &str) -> Value {
    json!({
        "ID": id, "item_name": name, "code": code, "unit_ID": unit_id, "type_of": "general", "default_pack_size": 100,
        "VEN_category": "", "strength": "", "doses": 0, "is_vaccine": false, "category_ID": "", "category2_ID": "",
        "category3_ID": "", "restricted_location_type_ID": "", "start_of_year_date": "0000-00-00", "atc_category": "",
        "ddd_value": "", "buy_price": 0, "volume_per_pack": 0, "critical_stock": false, "custom_data": null,
    })
}

/// A user.
pub fn user(id: &str, name: &str, first: &str, last: &str) -> Value {
    json!({
        "ID": id, "name": name, "e_mail": "", "Language": 0, "first_name": first, "last_name": last, "phone1": "",
        "job_title": "", "active": true, "nblogins": 0, "lasttime": 0, "initials": "",
    })
}

/// A clinician of a store.
pub fn clinician(id: &str, code: &str, first: &str, last: &str, store_id: &str) -> Value {
    json!({
        "ID": id, "code": code, "first_name": first, "last_name": last, "initials": "", "registration_code": "",
        "category": "", "address1": "", "address2": "", "phone": "", "mobile": "", "email": "", "female": false,
        "active": true, "type": "Prescriber", "store_ID": store_id,
    })
}

/// A master list.
pub fn list_master(id: &str, code: &str, description: &str) -> Value {
    json!({
        "ID": id, "description": description, "code": code, "date_created": "2020-01-01", "created_by_user_ID": "",
        "note": "", "gets_updates": false, "isProgram": false, "programSettings": null, "isImmunisation": false,
        "is_default_price_list": false, "discount_percentage": 0, "inactive": false,
    })
}

/// An item on a master list.
pub fn list_master_line(id: &str, list_id: &str, item_id: &str) -> Value {
    json!({ "ID": id, "item_master_ID": list_id, "item_ID": item_id, "quan": 0, "price": 0, "imprest_quan": 0 })
}

/// The link of a master list with a name that uses it.
pub fn list_master_name_join(id: &str, list_id: &str, name_id: &str) -> Value {
    json!({
        "ID": id, "description": "", "name_ID": name_id, "list_master_ID": list_id, "include_imprest": false,
        "include_stock_history": false, "price_list": false,
    })
}

/// An unfinished supplier invoice of a store.
pub fn transact(id: &str, store_id: &str, name_id: &str, number: u64) -> Value {
    json!({
        "ID": id, "store_ID": store_id, "name_ID": name_id, "invoice_num": number, "type": "si", "status": "nw",
        "mode": "store", "hold": false, "comment": "", "their_ref": "", "entry_date": "2024-03-01", "entry_time": 28800,
        "ship_date": "0000-00-00", "confirm_date": "0000-00-00", "confirm_time": 0, "finalised_date": "0000-00-00",
        "arrival_date_actual": "0000-00-00", "transport_reference": "", "requisition_ID": "", "linked_transaction_id": "",
        "user_ID": "", "prescriber_ID": "", "currency_ID": "", "currency_rate": 1, "tax": 0, "Colour": 0,
        "custom_data": null,
    })
}

/// A line of an invoice.
pub fn trans_line(id: &str, transact_id: &str, item_id: &str, item_name: &str, quantity: u64) -> Value {
    json!({
        "ID": id, "transaction_ID": transact_id, "item_ID": item_id, "item_name": item_name, "item_line_ID": "",
        "location_ID": "", "batch": "", "expiry_date": "0000-00-00", "pack_size": 100, "cost_price": 5, "sell_price": 6,
        "quantity": quantity, "type": "stock_in", "note": "", "optionID": "", "tax": 0, "foreign_currency_price": 0,
    })
}
