//! The four ends of the demonstration with the legacy server, and the lines of one of them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oms_sync_demo::cast::{CENTRAL, NAMES, SOUTH};
use oms_sync_demo::files::impatient;
use oms_sync_demo::judge::Holder;
use oms_sync_demo::line::Line;
use oms_sync_server::{Server, ServerOptions, listen};
use sync_core::clock::{Clock, SystemClock};
use sync_core::files::{FileStore, Files};
use sync_core::protocol::PasswordHash;
use sync_core::protocol::v6::Action;
use sync_core::record::{RecordData, SiteId};
use sync_core::site::{Discovered, FilesOptions, FilesReport};
use sync_core::storage::SqliteStorage;
use sync_core::transport::HttpTransport;
use sync_core::{Error, NoopObserver, Records, Replica, Result, Settings, Site, SyncConfig, SyncOptions, SyncReport};
use sync_testkit::legacy_server::{
    LegacyRecord, LegacyServer, ListeningLegacyServer, PASSWORD, SmallWorld, small_world,
};

/// The legacy server, after the three ends that have a database.
pub(super) const LEGACY: usize = 3;
/// The numbers of the sites, in the order of the ends.
pub(super) const SITE_IDS: [SiteId; 3] = [SiteId(2), SiteId(3), SiteId(4)];

/// A legacy server, a central server that is one of its sites, and two remote sites.
pub(super) struct Ends {
    pub legacy: Arc<LegacyServer>,
    pub world: SmallWorld,
    server: Server,
    /// South reaches the central server through this, and the legacy server through the other one.
    pub line: Line,
    pub legacy_line: Line,
    stand_in: ListeningLegacyServer,
    storages: [Arc<SqliteStorage>; 3],
    clock: Arc<dyn Clock>,
    folder: PathBuf,
}

impl Ends {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let open = |end: usize| {
            let path = folder.join(format!("{}.sqlite", NAMES[end]));
            if path.exists() {
                let detail = format!("{} exists already; give an empty folder", path.display());
                return Err(Error::bad_input(detail));
            }
            SqliteStorage::open(path).map(Arc::new)
        };
        let storages = [open(0)?, open(1)?, open(2)?];
        let legacy = Arc::new(LegacyServer::new(clock.clone()));
        let failed =
            |source: std::io::Error| Error::Io { what: "starting the server".to_owned(), source: source.into() };
        let stand_in = ListeningLegacyServer::start(legacy.clone()).map_err(failed)?;
        // As `serve --auth legacy`.
        let asks = Arc::new(HttpTransport::default());
        let replica = Replica::builder().clock(clock.clone()).with_storage(storages[CENTRAL].clone());
        let authenticator = Arc::new(replica.legacy_authenticator(asks));
        let central = replica.central(authenticator);
        let central = Arc::new(central.with_files(FileStore::new(folder.join("central.files"))));
        let server =
            Server::start(central, listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?, ServerOptions::default())?;
        let line = Line::to(server.address())?;
        let legacy_line = Line::to(stand_in.address())?;
        let world = small_world(&legacy, 2, &format!("http://{}", server.address()));
        let of_south = format!("http://{}", line.address());
        legacy.change_site(&world.sites[1].name, |site| site.oms_central_url = of_south);
        let folder = folder.to_owned();
        Ok(Self { legacy, world, server, line, legacy_line, stand_in, storages, clock, folder })
    }

    pub(super) fn addresses(&self) -> [SocketAddr; 2] {
        [self.stand_in.address(), self.server.address()]
    }

    pub(super) fn stop(self) {
        drop((self.line, self.legacy_line));
        self.server.stop();
    }

    pub(super) fn records(&self, end: usize) -> Records {
        Replica::builder().clock(self.clock.clone()).with_storage(self.storages[end].clone()).records()
    }

    /// Sets an end up with only the address of the legacy server, its name there and the password.
    pub(super) fn set_up(&self, end: usize) -> Result<Discovered> {
        let address = if end == SOUTH { self.legacy_line.address() } else { self.stand_in.address() };
        let name = end.checked_sub(1).map_or(&self.world.central, |site| &self.world.sites[site].name);
        let settings = Settings::new(format!("http://{address}"), name.clone(), PasswordHash::of_password(PASSWORD))
            .hardware_id(format!("machine of {}", NAMES[end]));
        self.site(end).set_up(&settings, &mut NoopObserver)
    }

    pub(super) fn sync(&self, end: usize) -> Result<SyncReport> {
        self.site(end).sync(&SyncOptions::default(), &mut NoopObserver)
    }

    /// The files of an end.
    pub(super) fn files(&self, end: usize) -> Files {
        let folder = self.folder.join(format!("{}.files", NAMES[end]));
        impatient(Replica::builder().clock(self.clock.clone()).with_storage(self.storages[end].clone()).files(folder))
    }

    /// Sends and fetches the files of a site.
    pub(super) fn sync_files(&self, end: usize) -> Result<FilesReport> {
        self.site(end).sync_files(&self.files(end), &FilesOptions::default(), &mut NoopObserver)
    }

    fn site(&self, end: usize) -> Site {
        let mut config = SyncConfig::default();
        config.retry_wait = Duration::from_millis(100);
        config.integration_poll = Duration::from_millis(50);
        let transport = Arc::new(HttpTransport::default());
        Replica::builder()
            .clock(self.clock.clone())
            .with_storage(self.storages[end].clone())
            .site(transport)
            .with_config(config)
    }
}

/// The content of the legacy server: central records and rows.
pub(super) struct LegacyHolds(BTreeMap<String, BTreeMap<String, RecordData>>);

impl LegacyHolds {
    pub(super) fn of(legacy: &LegacyServer) -> Self {
        let mut tables = BTreeMap::<String, BTreeMap<String, RecordData>>::new();
        let central = legacy.central_log().into_iter().map(|(_, record)| record);
        for LegacyRecord { table, id, data, .. } in central.chain(legacy.rows()).filter(is_there) {
            tables.entry(table).or_default().extend(data.map(|data| (id, data)));
        }
        Self(tables)
    }
}

/// True for a record, false for a delete.
fn is_there(record: &LegacyRecord) -> bool {
    matches!(record.action, Action::Insert | Action::Update)
}

impl Holder for LegacyHolds {
    fn get(&self, table: &str, id: &str) -> Result<Option<RecordData>> {
        Ok(self.0.get(table).and_then(|records| records.get(id)).cloned())
    }

    fn counts(&self) -> Result<Vec<(String, u64)>> {
        Ok(self.0.iter().map(|(table, records)| (table.clone(), records.len() as u64)).collect())
    }
}

#[cfg(test)]
mod tests {
    use sync_testkit::legacy_server::rows;

    use super::*;
    use oms_sync_demo::judge::Ledger;

    /// The legacy server is judged like the others.
    #[test]
    fn differences_at_the_legacy_server_are_found() {
        let legacy = LegacyServer::new(Arc::new(SystemClock::new()));
        let mut ledger = Ledger::<1>::default();
        for (id, at_legacy) in [("OLD", "other"), ("RIGHT", "same"), ("MISSING", "")] {
            ledger.expect("unit", id, &RecordData::of(&rows::unit(id, "same")), [true]);
            if !at_legacy.is_empty() {
                legacy.put_central("unit", id, rows::unit(id, at_legacy));
            }
        }
        legacy.put_central("unit", "GONE", rows::unit("GONE", "u"));
        legacy.delete_central("unit", "GONE");
        legacy.put_row("transact", "SURPLUS", rows::transact("SURPLUS", "S", "N", 1));
        let verdict = ledger.compare([("legacy", &LegacyHolds::of(&legacy))]).unwrap();
        let expected = [
            "unit MISSING at legacy is missing",
            "unit OLD at legacy is not the newest version",
            "legacy has 1 of transact, not 0",
            "legacy has 2 of unit, not 3",
        ];
        assert_eq!(verdict.differences, expected);
    }
}
