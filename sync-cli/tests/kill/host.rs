//! The hosts: they write records through the library, into the same file as the program, and note acknowledged writes.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sync_core::Records;
use sync_core::record::{RecordData, RecordId};
use sync_core::storage::{SqliteStorage, Storage};

use super::ledger::{CENTRAL, Ledger, NAMES, Write};
use super::random::Random;

const EVERYWHERE: [bool; 3] = [true; 3];

/// The store of a site.
pub(crate) fn store(site: usize) -> String {
    format!("STORE_{}", NAMES[site])
}

/// A database file that other processes use too.
pub(crate) fn open(path: &Path) -> Arc<dyn Storage> {
    Arc::new(SqliteStorage::open_existing(path).expect("a database, whoever was killed over it"))
}

/// The writer at one end.
pub(crate) struct Host {
    end: usize,
    random: Random,
    written: usize,
    /// Its assets with their sites, and where its locations are.
    assets: Vec<(String, usize)>,
    locations: Vec<Write>,
}

impl Host {
    pub(crate) fn new(end: usize, random: Random) -> Self {
        Self { end, random, written: 0, assets: Vec::new(), locations: Vec::new() }
    }

    /// Writes a number of times; every call must succeed.
    pub(crate) fn write(&mut self, records: &Records, calls: usize, ledger: &Mutex<Ledger>) {
        for _ in 0..calls {
            let writes = self.draft();
            self.call(records, &writes);
            ledger.lock().expect("nobody panicked").acknowledged(self.end, &writes);
        }
    }

    /// Writes more records in one call than one batch carries.
    pub(crate) fn write_many(&mut self, records: &Records, ledger: &Mutex<Ledger>) {
        let writes: Vec<Write> = (0..1500).map(|_| self.new_asset()).collect();
        self.call(records, &writes);
        ledger.lock().expect("nobody panicked").acknowledged(self.end, &writes);
    }

    /// New records of one table for one call of the program, that this host will not write again.
    pub(crate) fn for_the_program(&mut self) -> Vec<Write> {
        let writes = (0..30).map(|_| self.new_asset()).collect();
        self.assets.truncate(self.assets.len() - 30);
        writes
    }

    fn call(&self, records: &Records, writes: &[Write]) {
        let table = writes[0].table;
        let contents: Option<Vec<RecordData>> = writes.iter().map(|write| write.content.clone()).collect();
        let done = match contents {
            Some(contents) => records.put(table, contents).map(|_| ()),
            None => records.delete(table, RecordId::from(writes[0].id.as_str())),
        };
        done.unwrap_or_else(|error| panic!("{}: {} [{}] {error}", NAMES[self.end], table, error.code()));
    }

    /// The content of one call: records of one table, or one delete.
    fn draft(&mut self) -> Vec<Write> {
        let count = self.random.within(1..9);
        match (self.random.within(0..12), self.end) {
            (0, _) if !self.locations.is_empty() => {
                let gone = self.random.within(0..self.locations.len());
                vec![Write { content: None, ..self.locations.swap_remove(gone) }]
            }
            (0 | 1, _) if !self.assets.is_empty() => {
                let new: Vec<Write> = (0..count).map(|_| self.new_location()).collect();
                self.locations.extend(new.iter().cloned());
                new
            }
            (2 | 3, _) if !self.assets.is_empty() => (0..count).map(|_| self.new_log()).collect(),
            (4 | 5, _) => vec![self.shared_asset()],
            (6, _) => (0..count).map(|n| self.properties(n)).collect(),
            (7, CENTRAL) => (0..count).map(|n| self.class(n)).collect(),
            (7, _) => (0..count).map(|_| self.system_log()).collect(),
            (8, _) if !self.assets.is_empty() => (0..count).map(|_| self.file()).collect(),
            (9 | 10, _) if !self.assets.is_empty() => (0..count).map(|_| self.edited_asset()).collect(),
            _ => (0..count).map(|_| self.new_asset()).collect(),
        }
    }

    /// A text that no other write has.
    fn text(&mut self) -> String {
        self.written += 1;
        format!("{} {}", NAMES[self.end], self.written)
    }

    fn id(&mut self, of: &str) -> String {
        format!("{of}-{}", self.text().replace(' ', "-"))
    }

    fn asset(&mut self, id: String, site: usize) -> Write {
        let text = self.text();
        let at = "2026-11-23T08:00:00";
        // Sometimes marked as deleted, and restored.
        let deleted = self.random.chance(10).then_some("2026-11-23T09:00:00");
        let content = json!({
            "id": id, "store_id": store(site), "notes": text, "asset_number": "A/1", "created_datetime": at,
            "modified_datetime": at, "deleted_datetime": deleted,
        });
        write("asset", id, &content, of_site(site))
    }

    /// A site's own, or, at central, of either site.
    fn new_asset(&mut self) -> Write {
        let site = if self.end == CENTRAL { self.random.within(1..3) } else { self.end };
        let id = self.id("asset");
        self.assets.push((id.clone(), site));
        self.asset(id, site)
    }

    fn edited_asset(&mut self) -> Write {
        let (id, site) = self.any_asset();
        self.asset(id, site)
    }

    /// One of those that a site and central both write.
    fn shared_asset(&mut self) -> Write {
        let site = if self.end == CENTRAL { self.random.within(1..3) } else { self.end };
        let id = format!("shared-{}-{}", NAMES[site], self.random.within(0..8));
        self.asset(id, site)
    }

    fn any_asset(&mut self) -> (String, usize) {
        self.random.pick(&self.assets).expect("it has written one")
    }

    fn new_log(&mut self) -> Write {
        let ((asset, site), id, at) = (self.any_asset(), self.id("log"), "2026-11-23T08:00:00");
        let content = json!({
            "id": id, "asset_id": asset, "user_id": "nurse", "status": "FUNCTIONING", "comment": self.text(),
            "type": "STATUS_UPDATE", "reason_id": null, "log_datetime": at, "created_datetime": at,
        });
        write("asset_log", id, &content, of_site(site))
    }

    fn new_location(&mut self) -> Write {
        let ((asset, site), id) = (self.any_asset(), self.id("location"));
        let content = json!({ "id": id, "asset_id": asset, "location_id": self.text() });
        write("asset_internal_location", id, &content, of_site(site))
    }

    fn file(&mut self) -> Write {
        let ((asset, _), id) = (self.any_asset(), self.id("file"));
        let content = json!({
            "id": id, "table_name": "asset", "record_id": asset, "file_name": self.text(), "mime_type": "image/jpeg",
            "total_bytes": 184_233, "created_datetime": "2026-11-23T08:00:00", "deleted_datetime": null,
        });
        write("sync_file_reference", id, &content, EVERYWHERE)
    }

    fn properties(&mut self, n: usize) -> Write {
        let id = format!("properties-{}-{n}", NAMES[self.end]);
        let content = json!({ "id": id, "properties": format!("{{\"said\":\"{}\"}}", self.text()) });
        write("name_oms_fields", id, &content, EVERYWHERE)
    }

    fn class(&mut self, n: usize) -> Write {
        let id = format!("class-{n}");
        let content = json!({ "id": id, "name": self.text() });
        write("asset_class", id, &content, EVERYWHERE)
    }

    fn system_log(&mut self) -> Write {
        let id = self.id("said");
        let content = json!({
            "id": id, "type": "Migration", "sync_site_id": null, "datetime": "2026-11-23T08:00:00",
            "message": self.text(), "is_error": false,
        });
        write("system_log", id, &content, of_site(self.end))
    }
}

fn write(table: &'static str, id: String, content: &Value, at: [bool; 3]) -> Write {
    Write { table, id, content: Some(RecordData::of(content)), at }
}

/// Central and this site.
fn of_site(site: usize) -> [bool; 3] {
    std::array::from_fn(|end| end == CENTRAL || end == site)
}
