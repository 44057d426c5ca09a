//! The documents of the demonstration: one of each record type, and assets in numbers.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sync_core::record::{RecordData, RecordId, record_type};
use sync_core::{Error, Result};

use crate::cast::{CENTRAL, NORTH, SOUTH, STORES};
use crate::judge;

/// The writer of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Writer {
    /// The central server.
    Central,
    /// The site north.
    Site,
}

/// The ends that receive a document, by the specification; the judge uses no other source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reach {
    /// Central and every site.
    Everyone,
    /// Central and the site of the store.
    Store,
}

/// A document with the facts for the judge.
#[derive(Debug, Clone)]
pub struct Seed {
    /// Its table.
    pub table: String,
    /// Its id.
    pub id: RecordId,
    /// Its writer.
    pub by: Writer,
    /// The document.
    pub data: RecordData,
    reach: Reach,
    store_site: usize,
}

/// The error of unreadable seed documents: a fault of the program, which contains them.
pub fn broken() -> Error {
    Error::DamagedState { what: "the demonstration's seed documents".to_owned() }
}

/// One document of each record type.
///
/// # Errors
/// The seed documents are damaged.
pub fn seeds() -> Result<Vec<Seed>> {
    #[derive(Deserialize)]
    struct SeedLine {
        table: String,
        by: Writer,
        reach: Reach,
        data: Box<RawValue>,
    }

    let mut seeds = Vec::new();
    for line in include_str!("seed.jsonl").lines() {
        let line: SeedLine = serde_json::from_str(line).map_err(|_| broken())?;
        seeds.push(Seed::new(&line.table, line.by, line.reach, NORTH, line.data.get())?);
    }
    Ok(seeds)
}

impl Seed {
    fn new(table: &str, by: Writer, reach: Reach, store_site: usize, json: &str) -> Result<Self> {
        let data = RecordData::parse(json).map_err(|_| broken())?;
        let key = record_type(table).ok_or_else(broken)?.key;
        let id = data.fields().and_then(|fields| fields.text(key).map(|id| RecordId::new(id.into_owned())));
        Ok(Self { table: table.to_owned(), id: id.ok_or_else(broken)?, by, data, reach, store_site })
    }

    /// The ends that finally have the document, if this end writes it.
    pub fn reach(&self, by: usize) -> [bool; 3] {
        match self.reach {
            Reach::Everyone => judge::EVERYWHERE,
            Reach::Store => judge::at(&[CENTRAL, if by == CENTRAL { self.store_site } else { by }]),
        }
    }

    /// The document with one text replaced by another.
    ///
    /// # Errors
    /// The seed documents are damaged.
    pub fn with(&self, from: &str, to: &str) -> Result<Self> {
        let text = self.data.as_str().replace(from, to);
        Self::new(&self.table, self.by, self.reach, self.store_site, &text)
    }

    /// The same document for the site south: its own store, and a join of its own.
    ///
    /// # Errors
    /// The seed documents are damaged.
    pub fn at_south(&self) -> Result<Self> {
        let text = self.data.as_str().replace(STORES[NORTH], STORES[SOUTH]);
        let text = if self.table == "name_store_join" { text.replace(self.id.as_str(), "join-of-south") } else { text };
        let same = if self.table == "name" { self.data.as_str() } else { &text };
        Self::new(&self.table, self.by, self.reach, SOUTH, same)
    }
}

/// Another location of the asset in the seed documents, which the demonstration deletes.
///
/// # Errors
/// The seed documents are damaged.
pub fn second_location(documents: &[Seed]) -> Result<Seed> {
    let first = documents.iter().find(|seed| seed.table == "asset_internal_location").ok_or_else(broken)?;
    let text = first.data.as_str().replace(first.id.as_str(), "location-to-be-deleted");
    Seed::new(&first.table, first.by, first.reach, first.store_site, &text)
}

/// A document with another text under one of its keys.
///
/// # Errors
/// The seed documents are damaged.
pub fn edited(seed: &Seed, key: &str) -> Result<Seed> {
    let mut value: Value = serde_json::from_str(seed.data.as_str()).map_err(|_| broken())?;
    value[key] = json!(if key == "properties" { r#"{"changed":true}"# } else { "changed" });
    Seed::new(&seed.table, seed.by, seed.reach, seed.store_site, &value.to_string())
}

/// The id of the `n`th asset of an end.
pub fn asset_id(by: &str, n: usize) -> String {
    format!("asset-of-{by}-{n:04}")
}

/// The `n`th asset of an end for a store.
///
/// # Errors
/// The seed documents are damaged.
pub fn bulk_asset(by: &str, store: &str, n: usize) -> Result<Seed> {
    let asset = json!({
        "id": asset_id(by, n), "asset_number": format!("{by}/{n}"), "store_id": store, "notes": "vaccine refrigerator",
        "created_datetime": "2025-03-01T08:00:00", "modified_datetime": "2025-03-01T08:00:00.250",
    });
    let site = STORES.iter().position(|own| *own == store).unwrap_or(CENTRAL);
    Seed::new("asset", Writer::Site, Reach::Store, site, &asset.to_string())
}
