//! The name of a store, for people.

use crate::error::Result;
use crate::record::{RecordData, RecordId, StoreId, TableName};
use crate::storage::ReadTxn;
use crate::text::quoted;

/// The most stores that a sentence names.
const NAMED: usize = 5;

/// The name and the code of a store, by its record; empty where the database does not have them.
pub(crate) fn name_and_code(txn: &dyn ReadTxn, store: &RecordData) -> Result<(String, String)> {
    let fields = store.fields();
    let text = |key: &str| fields.as_ref().and_then(|fields| fields.text(key)).unwrap_or_default().into_owned();
    let name = txn.record(&TableName::from("name"), &RecordId::new(text("name_ID")))?;
    let name = name.and_then(|data| data.fields()?.text("name").map(std::borrow::Cow::into_owned));
    Ok((name.unwrap_or_default(), text("code")))
}

/// The id of a store, with its name and its code where the database has them.
fn shown(txn: &dyn ReadTxn, id: &StoreId) -> Result<String> {
    let Some(store) = txn.record(&TableName::from("store"), &RecordId::from(id.as_str()))? else {
        return Ok(id.to_string());
    };
    let (name, code) = name_and_code(txn, &store)?;
    Ok(match (name.as_str(), code.as_str()) {
        ("", "") => id.to_string(),
        ("", code) => format!("{id} ({})", quoted(code)),
        (name, "") => format!("{id} \"{}\"", quoted(name)),
        (name, code) => format!("{id} \"{}\" ({})", quoted(name), quoted(code)),
    })
}

/// Stores in a sentence: each with its name and its code, the first five of many.
pub(crate) fn named_stores(txn: &dyn ReadTxn, stores: &[StoreId]) -> Result<String> {
    let mut all = stores.iter().take(NAMED).map(|id| shown(txn, id)).collect::<Result<Vec<_>>>()?;
    if stores.len() > NAMED {
        all.push("…".to_owned());
    }
    Ok(all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::record::RecordData;
    use crate::storage::{MemoryStorage, Storage as _};
    use crate::write::{Origin, upsert_with_fanout};

    #[test]
    fn a_store_is_named_as_far_as_the_database_knows_it() {
        let (storage, now) = (MemoryStorage::new(), Timestamp::from_unix_millis(0));
        let txn = storage.write().unwrap();
        let put = |table: &str, id: &str, data: serde_json::Value| {
            let data = RecordData::of(&data);
            upsert_with_fanout(txn.as_ref(), &table.into(), &id.into(), &data, Origin::Local, now).unwrap();
        };
        put("name", "n", serde_json::json!({"ID": "n", "name": "Clinic 2"}));
        put("store", "named", serde_json::json!({"ID": "named", "code": "C2", "name_ID": "n"}));
        put("store", "coded", serde_json::json!({"ID": "coded", "code": "C3", "name_ID": "gone"}));
        let named = |ids: &[&str]| {
            let ids: Vec<StoreId> = ids.iter().map(|id| StoreId::from(*id)).collect();
            named_stores(txn.as_ref(), &ids).unwrap()
        };
        assert_eq!(named(&["named", "coded", "gone"]), r#"named "Clinic 2" (C2), coded (C3), gone"#);
        assert_eq!(named(&["1", "2", "3", "4", "5", "6"]), "1, 2, 3, 4, 5, …");
    }
}
