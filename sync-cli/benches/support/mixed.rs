//! Records of mixed types, for the benchmarks of first syncs.

use serde_json::{Value, json};
use sync_core::Records;
use sync_core::record::RecordData;

/// Mixed types: central data, assets of the site's store with their logs, R&R lines with many fields, file references.
fn record(n: usize, store: &str) -> (&'static str, Value) {
    let at = "2025-03-01T08:00:00.250";
    let asset = |n: usize| format!("asset-{:08x}-{n}", n.wrapping_mul(2_654_435_761));
    match n % 5 {
        0 => (
            "asset",
            json!({
                "id": asset(n), "asset_number": format!("A/{n}"), "store_id": store, "notes": "vaccine refrigerator",
                "serial_number": format!("SN-{n:08}"), "created_datetime": at, "modified_datetime": at,
                "properties": "{\"temperature_class\":\"2-8\"}", "deleted_datetime": null, "needs_replacement": false,
            }),
        ),
        1 => (
            "asset_log",
            json!({
                "id": format!("log-{n}"), "asset_id": asset(n - 1), "user_id": "0763E2E3053D4C478E1E6B6B03FEC207",
                "status": "FUNCTIONING", "comment": "checked in the morning round", "type": "STATUS_UPDATE",
                "reason_id": null, "log_datetime": at, "created_datetime": at,
            }),
        ),
        2 => (
            "sync_file_reference",
            json!({
                "id": format!("file-{n}"), "table_name": "asset", "record_id": asset(n - 2), "file_name": "photo.jpg",
                "mime_type": "image/jpeg", "total_bytes": 184_233, "created_datetime": at, "deleted_datetime": null,
            }),
        ),
        3 => ("name_oms_fields", json!({ "id": format!("name-{n}"), "properties": "{\"population\":24000}" })),
        _ => (
            "item_variant",
            json!({
                "id": format!("variant-{n}"), "name": "Vial of 10", "item_link_id": "7A1C4E2B9D034F7C8E5A61B2C3D4E5F6",
                "cold_storage_type_id": null, "deleted_datetime": null, "vvm_type": null, "created_datetime": at,
                "created_by": null, "manufacturer_id": null,
            }),
        ),
    }
}

/// Writes so many of them at a central server, for a store.
pub(crate) fn fill(records: &Records, count: usize, store: &str) {
    for start in (0..count).step_by(5000) {
        for kind in 0..5 {
            let chunk = (start..count.min(start + 5000)).filter(|n| n % 5 == kind);
            let data = chunk.map(|n| RecordData::of(&record(n, store).1));
            records.put(record(kind.max(start) / 5 * 5 + kind, store).0, data).expect("records");
        }
    }
}
