//! The world at the beginning, and what its ends hold.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_core::central::SiteRegistry;
use sync_core::changelog::{Audience, ChangeAction, NewChange};
use sync_core::clock::Timestamp;
use sync_core::protocol::PasswordHash;
use sync_core::protocol::v6::Action;
use sync_core::record::{RecordData, SiteId, StoreId};
use sync_core::site::{ConflictVersions, Resolution};
use sync_core::storage::{Buffered, MemoryStorage, SiteEntry, Source, StagedKind, Storage};
use sync_core::{NoopObserver, Replica, Settings, Site, SyncConfig};
use sync_testkit::PostgresServer;

use crate::disk::Disk;
use crate::ledger::Key;
use crate::lock;
use crate::network::Network;
use crate::promises::{Aside, From, Held};
use crate::run::Sim;

/// The password of every site at first.
pub(crate) const PASSWORD: &str = "simulated";

/// The password of a site after so many changes.
pub(crate) fn password(changes: u32) -> PasswordHash {
    match changes {
        0 => PasswordHash::of_password(PASSWORD),
        changes => PasswordHash::of_password(&format!("{PASSWORD} {changes}")),
    }
}

/// A slow hash of what sites send for it, made with the least effort that the format knows: a world is made in a
/// millisecond.
pub(crate) const SECRET: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c2ltdWxhdG9yLXNhbHQhIQ$R67Wa/rKxpBwwKgcgYCQMgGkNwQUh1Oz1mylGBntc68";

/// Where sites reach the legacy half, and central too.
pub(crate) const ADDRESS: &str = "http://central.sim";

/// A folder for the files of the ends, in memory where the system offers that.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// Where an end keeps what it has. Only central keeps it on a server of databases.
pub(crate) fn disk(folder: Option<&Path>, server: Option<&'static PostgresServer>, end: usize) -> Disk {
    if let Some(server) = server.filter(|_| end == 0) {
        return Disk::Server(server.new_database(), self::folder());
    }
    match folder {
        Some(folder) => Disk::File(folder.join(format!("{end}.sqlite"))),
        None => Disk::Memory(Mutex::new(Arc::new(MemoryStorage::new()))),
    }
}

/// The name of the `n`th store of a site.
pub(crate) fn store_name(site: usize, n: usize) -> String {
    format!("store-{site}-{n}")
}

/// The place of the rogue's site among the ends: behind all others, with no honest program.
pub(crate) fn rogue(sim: &Sim) -> usize {
    sim.ends.len()
}

/// The name of a site.
pub(crate) fn site_name(site: usize) -> String {
    format!("site-{site}")
}

/// The number of a site on the wire.
pub(crate) fn number(site: usize) -> SiteId {
    SiteId(i32::try_from(site).unwrap_or(0) + 1)
}

/// Makes central, its list of sites and their stores, and sets the sites up. Nothing fails yet.
pub(crate) fn set_up(sim: &Sim) {
    if let Some(legacy) = &sim.legacy {
        return crate::legacy::set_up(sim, legacy);
    }
    let central = &sim.ends[0];
    sim.sites().expect("a central database");
    let storage = central.process().raw;
    let txn = storage.write().expect("a transaction");
    let stores = |site: usize| if site == rogue(sim) { 1 } else { sim.swarm.stores };
    for site in 1..=rogue(sim) {
        let entry = SiteEntry {
            id: number(site),
            uuid: format!("UUID-{site}"),
            name: site_name(site),
            secret: SECRET.to_owned(),
            hardware_id: None,
            last_pull_at: None,
        };
        txn.central().expect("central's part").put_site(&entry).expect("a new site");
        for n in 0..stores(site) {
            let store = store_name(site, n);
            // The list of stores keeps the name of a store that it knows; of a new one it would make one by chance.
            let data =
                serde_json::json!({"ID": store, "name_ID": format!("name-of-{store}"), "sync_id_remote_site": 0});
            let change = NewChange {
                table: "store".into(),
                id: store.as_str().into(),
                action: ChangeAction::Upsert,
                store: None,
                name: None,
                source_site: None,
                is_sync_update: false,
                audience: Audience::Legacy,
                changed_at: Timestamp::from_unix_millis(0),
            };
            txn.put_record(&RecordData::of(&data), &change).expect("a new store");
        }
    }
    txn.commit().expect("a commit");
    sim.restart(0);
    for site in 1..=rogue(sim) {
        for n in 0..stores(site) {
            put_store(sim, &store_name(site, n), site).expect("a store");
        }
        if site == rogue(sim) {
            break;
        }
        let settings = Settings::new(ADDRESS, sim.ends[site].name.clone(), password(0))
            .https_only(false)
            .hardware_id(sim.machine(site).is_none().then(|| format!("machine-{site}")));
        self::site(sim, site).set_up(&settings, &mut NoopObserver).expect("set up");
    }
}

/// Puts a store on a site, and tells the judge.
pub(crate) fn put_store(sim: &Sim, store: &str, site: usize) -> sync_core::Result<()> {
    if let Some(legacy) = &sim.legacy {
        legacy.put_store(sim, store, site);
        return Ok(());
    }
    let before = central_records(sim, store);
    let is_moving = lock(&sim.state).moving.iter().any(|moving| moving == store);
    for (key, content) in &before {
        // A move pauses once it is written, and this one may come in that pause: it is on top of what the other wrote, which
        // is not in the book yet, or only of long ago.
        let mut ledger = lock(&sim.ledger);
        let below = ledger.of(key).last().and_then(|(_, version)| version.content.clone());
        let is_known = content.as_deref().is_none_or(|content| ledger.version(key, content).is_some());
        if below.is_some() && (!is_known || (is_moving && below != *content)) {
            ledger.wrote(0, key.clone(), below.as_deref(), content.clone());
        }
    }
    let sites: SiteRegistry = sim.sites()?;
    // Told first: a site may ask while this is under way.
    lock(&sim.ledger).store_is_on(store, site);
    lock(&sim.state).moving.push(store.to_owned());
    let added = sites.add_store(store, store, &site_name(site), Some(StoreId::from(store)));
    lock(&sim.state).moving.pop();
    if let Err(error) = added {
        lock(&sim.ledger).store_did_not_move(store);
        return Err(error);
    }
    for ((key, held), (_, content)) in before.into_iter().zip(central_records(sim, store)) {
        lock(&sim.ledger).wrote(0, key, held.as_deref(), content);
    }
    Ok(())
}

/// The records of a store and of its name, as central has them.
fn central_records(sim: &Sim, store: &str) -> Vec<(Key, Option<String>)> {
    let storage = sim.ends[0].process().raw;
    let txn = storage.read().expect("a transaction");
    let keys = [("store", store.to_owned()), ("name", format!("name-of-{store}"))];
    let content = |table: &str, id: &str| txn.record(&table.into(), &id.into()).expect("a readable record");
    let keys = keys.into_iter().map(|(table, id)| ((table.to_owned(), id.clone()), content(table, &id)));
    keys.map(|(key, data)| (key, data.map(|data| data.as_str().to_owned()))).collect()
}

/// A site, over its storage as it is open now.
pub(crate) fn site(sim: &Sim, index: usize) -> Site {
    let end = &sim.ends[index];
    let mut config = SyncConfig::default();
    (config.pull_records, config.push_records_max) = sim.swarm.batches;
    config.pull_records_max = config.pull_records * 4;
    config.gzip_from = sim.swarm.gzip_from;
    if sim.legacy.is_some() {
        // A legacy server that is slow is asked less often: worlds are faster, and no less happens.
        config.integration_poll = Duration::from_secs(10);
        config.initialisation_wait = Duration::from_secs(5 * 60);
    }
    // Seeds mean what they meant before this wait was shorter than the interval.
    config.integration_poll_first = config.integration_poll;
    let transport = Arc::new(Network::of(sim.me.clone(), index));
    let mut builder = Replica::builder().clock(end.clock.clone());
    if let Some(machine) = sim.machine(index) {
        builder = builder.machine_id(machine);
    }
    if sim.swarm.decides(index) {
        builder = builder.resolver("asset", |_: &ConflictVersions<'_>| Resolution::KeepLocal);
    }
    builder.with_storage(end.process().storage).site(transport).with_config(config)
}

/// What all ends hold.
pub(crate) fn held(sim: &Sim) -> Vec<Held> {
    sim.ends.iter().map(|end| held_by(end.process().raw.as_ref()).expect("a readable storage")).collect()
}

/// What an end holds.
pub(crate) fn held_by(storage: &dyn Storage) -> sync_core::Result<Held> {
    let txn = storage.read()?;
    let mut held = Held::default();
    for (table, _) in txn.record_counts()? {
        for (id, data) in txn.records(&table, None, usize::MAX >> 1)? {
            // A patient that a site deleted is kept at central with a mark, for the records that name the patient.
            let is_marked = || crate::rules::fields(data.as_str()).contains_key("deleted_datetime");
            if table != *"name" || !is_marked() {
                held.records.insert((table.to_string(), id.to_string()), data.as_str().to_owned());
            }
        }
    }
    for (row, quarantine) in txn.quarantined(0, usize::MAX >> 1)? {
        let waits_for = quarantine.waits_for.map(|(table, id)| (table.to_string(), id.to_string()));
        let of_backup = quarantine.reason.starts_with("a backup was put back");
        held.aside.push(Aside { of_backup, waits_for, ..aside(row, quarantine.cause.as_str()) });
    }
    let sites = (1..=20).map(|site| Source::Site(SiteId(site)));
    for source in sites.chain([Source::Central, Source::Legacy]) {
        for (table, _) in txn.staged_tables(source)? {
            for kind in [StagedKind::Upserts, StagedKind::Deletes, StagedKind::Merges] {
                let rows = txn.staged(source, &table, kind, 0, usize::MAX >> 1)?;
                held.staged.extend(rows.into_iter().map(|row| aside(row, "staged")));
            }
        }
    }
    Ok(held)
}

fn aside(row: Buffered, cause: &'static str) -> Aside {
    let incoming = row.incoming;
    Aside {
        from: match incoming.source {
            Source::Site(SiteId(site)) => From::Site(usize::try_from(site - 1).unwrap_or(0)),
            Source::Local => From::Here,
            Source::Central | Source::Legacy => From::Central,
        },
        key: (incoming.table.to_string(), incoming.id.to_string()),
        content: (incoming.action != Action::Delete).then(|| incoming.data.as_str().to_owned()),
        cause,
        waits_for: None,
        of_backup: false,
    }
}
