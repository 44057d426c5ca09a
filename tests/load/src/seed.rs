//! Central's database before the run.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use sync_core::Replica;
use sync_core::Result;
use sync_core::changelog::{Audience, ChangeAction, NewChange};
use sync_core::clock::Timestamp;
use sync_core::protocol::PasswordHash;
use sync_core::record::{NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use sync_core::storage::{MemoryStorage, SiteEntry, SqliteStorage, Storage, WriteTxn};

use crate::Plan;

pub(crate) const PASSWORD: &str = "load";
const ROWS_OF_A_TRANSACTION: u64 = 50_000;

pub(crate) fn site_name(n: u64) -> String {
    format!("site {n}")
}

pub(crate) fn hardware_id(n: u64) -> String {
    format!("machine {n}")
}

pub(crate) fn store(n: u64) -> StoreId {
    StoreId::new(format!("STORE{n:027}"))
}

fn site_id(n: u64) -> SiteId {
    SiteId(i32::try_from(n + 2).unwrap_or(i32::MAX))
}

/// Makes and fills a central database; gives its newest cursor.
pub(crate) fn fill(path: &Path, plan: &Plan) -> Result<u64> {
    let storage = Arc::new(SqliteStorage::open(path)?);
    Replica::with_storage(storage.clone()).site_registry()?;
    add_sites(storage.as_ref(), plan)?;
    let mut txn = storage.write()?;
    for n in 0..plan.sites {
        let json = format!(r#"{{"ID":"{0}","sync_id_remote_site":{1}}}"#, store(n), site_id(n));
        put(txn.as_ref(), "store", store(n).as_str(), &json, Audience::Legacy, None, None)?;
        let patient = NameId::new(format!("PATIENT{n:025}"));
        let json = format!(r#"{{"ID":"join {n}","name_ID":"{patient}","store_ID":"{}"}}"#, store(n));
        put(txn.as_ref(), "name_store_join", &format!("join {n}"), &json, Audience::Nobody, None, None)?;
    }
    for n in 0..plan.rows {
        if n % ROWS_OF_A_TRANSACTION == ROWS_OF_A_TRANSACTION - 1 {
            txn.commit()?;
            txn = storage.write()?;
        }
        let at = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % plan.sites.max(1);
        let id = format!("{n:08x}-0000-7000-8000-{at:012x}");
        let from = Some(site_id(at));
        let (table, audience, name, from) = match n % 20 {
            0 => ("asset_catalogue_item", Audience::Everyone, None, None),
            7 | 14 => ("sync_file_reference", Audience::Everyone, None, from),
            3 | 9 | 17 => ("vaccination", Audience::Patient, Some(NameId::new(format!("PATIENT{at:025}"))), from),
            _ => ("asset", Audience::Store(store(at)), None, from),
        };
        put(txn.as_ref(), table, &id, &asset(&id, at, ""), audience, name, from)?;
    }
    txn.commit()?;
    let newest = storage.read()?.last_cursor()?.0;
    Ok(newest)
}

/// The data of an asset of a site's store.
pub(crate) fn asset(id: &str, site: u64, notes: &str) -> String {
    format!(
        r#"{{"id":"{id}","asset_number":"A/{id}","store_id":"{}","notes":"{notes}","serial_number":"SN","created_datetime":"2025-03-01T08:00:00","modified_datetime":"2025-03-01T08:00:00.250","properties":"{{\"temperature_class\":\"2-8\"}}","deleted_datetime":null,"needs_replacement":false}}"#,
        store(site)
    )
}

/// Each site that comes has a secret of its own, with a salt of its own; those that never come share one.
fn add_sites(storage: &SqliteStorage, plan: &Plan) -> Result<()> {
    let active = plan.active.min(plan.sites);
    let threads = thread::available_parallelism().map_or(1, |number| number.get() as u64);
    let secrets: Result<Vec<Vec<(u64, String)>>> = thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|part| {
                scope.spawn(move || (0..active).filter(|n| n % threads == part).map(|n| Ok((n, secret()?))).collect())
            })
            .collect();
        parts.into_iter().map(|part| part.join().unwrap_or_else(|_| Ok(Vec::new()))).collect()
    });
    let mut secrets: Vec<(u64, String)> = secrets?.into_iter().flatten().collect();
    let shared = secret()?;
    secrets.extend((active..plan.sites).map(|n| (n, shared.clone())));
    let txn = storage.write()?;
    for (n, secret) in secrets {
        let (name, hardware_id) = (site_name(n), Some(hardware_id(n)));
        txn.central().expect("central's part").put_site(&SiteEntry {
            id: site_id(n),
            uuid: format!("{n:032X}"),
            name,
            secret,
            hardware_id,
            last_pull_at: Some(Timestamp::from_unix_millis(0)),
        })?;
    }
    txn.commit()
}

/// What a central server keeps of a password.
fn secret() -> Result<String> {
    let sites = Replica::with_storage(Arc::new(MemoryStorage::new())).site_registry()?;
    Ok(sites.add("anybody", &PasswordHash::of_password(PASSWORD))?.secret)
}

fn put(
    txn: &dyn WriteTxn,
    table: &str,
    id: &str,
    json: &str,
    audience: Audience,
    name: Option<NameId>,
    source_site: Option<SiteId>,
) -> Result<()> {
    let store = match &audience {
        Audience::Store(store) => Some(store.clone()),
        _ => None,
    };
    let data = RecordData::parse(json)
        .map_err(|_| sync_core::Error::bad_input(format!("the data of {table} {id} is no JSON")))?;
    let change = NewChange {
        table: TableName::from(table),
        id: RecordId::from(id),
        action: ChangeAction::Upsert,
        store,
        name,
        source_site,
        is_sync_update: source_site.is_some(),
        audience,
        changed_at: Timestamp::from_unix_millis(1_740_816_000_000),
    };
    txn.put_record(&data, &change).map(drop)
}
