//! The three ends of the demonstration, and the line to one of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oms_sync_demo::cast::{CENTRAL, NAMES, NORTH, SOUTH, STORES};
use oms_sync_demo::files::impatient;
use oms_sync_demo::line::Line;
use oms_sync_server::{Server, ServerOptions, listen};
use sync_core::files::{FileStore, Files};
use sync_core::protocol::PasswordHash;
use sync_core::record::{RecordData, RecordId, StoreId, TableName};
use sync_core::site::{Discovered, FilesOptions, FilesReport};
use sync_core::transport::{HttpTransport, Timeouts};
use sync_core::{Error, Records, Replica, Result, Settings, Site, SyncConfig, SyncReport};

use crate::progress::until_interrupted;

const PASSWORD: &str = "only for the demonstration";

/// A central server that listens, and two sites.
pub(super) struct Ends {
    server: Server,
    /// South reaches the server through this.
    pub line: Line,
    replicas: [Replica; 3],
    folder: PathBuf,
}

impl Ends {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let open = |name: &str| {
            let path = folder.join(format!("{name}.sqlite"));
            if path.exists() {
                let detail = format!("{} exists already; give an empty folder", path.display());
                return Err(Error::bad_input(detail));
            }
            Replica::open(path)
        };
        let replicas = [open(NAMES[CENTRAL])?, open(NAMES[NORTH])?, open(NAMES[SOUTH])?];
        replicas[CENTRAL].site_registry()?;
        let central = replicas[CENTRAL].stand_alone_central();
        let central = Arc::new(central.with_files(FileStore::new(folder.join("central.files"))));
        let server =
            Server::start(central, listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?, ServerOptions::default())?;
        let line = Line::to(server.address())?;
        Ok(Self { server, line, replicas, folder: folder.to_owned() })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(super) fn stop(self) {
        drop(self.line);
        self.server.stop();
    }

    pub(super) fn records(&self, end: usize) -> Records {
        self.replicas[end].records()
    }

    /// The files of an end.
    pub(super) fn files(&self, end: usize) -> Files {
        let folder = self.folder.join(format!("{}.files", NAMES[end]));
        impatient(self.replicas[end].files(folder))
    }

    /// Sends and fetches the files of a site.
    pub(super) fn sync_files(&self, end: usize) -> Result<FilesReport> {
        self.site(end).sync_files(&self.files(end), &FilesOptions::default(), &mut until_interrupted)
    }

    /// Adds both sites with a store each; gives the records that this made.
    pub(super) fn add_sites(&self) -> Result<Vec<(String, String, RecordData)>> {
        let sites = self.replicas[CENTRAL].site_registry()?;
        let records = self.records(CENTRAL);
        let mut made = Vec::new();
        for site in [NORTH, SOUTH] {
            let name = NAMES[site];
            sites.add(name, &PasswordHash::of_password(PASSWORD))?;
            sites.add_store(&format!("{name} store"), &name.to_uppercase(), name, Some(StoreId::from(STORES[site])))?;
        }
        for table in ["store", "name"] {
            for (id, data) in records.list(TableName::from(table), None, 10)? {
                made.push((table.to_owned(), RecordId::as_str(&id).to_owned(), data));
            }
        }
        Ok(made)
    }

    /// Sets a site up: it asks the server who it is.
    pub(super) fn set_up(&self, end: usize) -> Result<Discovered> {
        let address = if end == SOUTH { self.line.address() } else { self.server.address() };
        let settings = Settings::new(format!("http://{address}"), NAMES[end], PasswordHash::of_password(PASSWORD))
            .hardware_id(format!("machine of {} in {}", NAMES[end], self.folder.display()));
        self.site(end).set_up(&settings, &mut until_interrupted)
    }

    pub(super) fn sync(&self, end: usize) -> Result<SyncReport> {
        self.site(end).sync(&sync_core::SyncOptions::default(), &mut until_interrupted)
    }

    fn site(&self, end: usize) -> Site {
        let timeouts = Timeouts::default().connect(Duration::from_secs(5));
        let mut config = SyncConfig::default();
        config.retry_wait = Duration::from_millis(100);
        config.integration_poll = Duration::from_millis(50);
        let transport = Arc::new(HttpTransport::new(&timeouts));
        self.replicas[end].site(transport).with_config(config)
    }
}
