//! A small, constant world of a legacy server, in its own format.

use serde_json::Value;

use super::{LegacyServer, LegacySite, legacy_id, rows};
use sync_core::record::SiteId;

/// The password of every site.
pub const PASSWORD: &str = "pass";

/// A remote site with its store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub struct SmallSite {
    pub name: String,
    pub site_id: SiteId,
    pub store_id: String,
    pub store_name_id: String,
    /// The patients that its store sees.
    pub patients: Vec<String>,
    /// An invoice of its store with two lines.
    pub transact_id: String,
    pub clinician_id: String,
}

/// The content of the world that [`small_world`] makes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub struct SmallWorld {
    /// The name of the site that is the Open mSupply central server.
    pub central: String,
    pub central_store_id: String,
    /// `district_a` with the number 3, and so on.
    pub sites: Vec<SmallSite>,
    pub units: Vec<String>,
    pub items: Vec<String>,
    pub users: Vec<String>,
    /// A facility without a store, from which all stores buy.
    pub supplier: String,
    pub master_list: String,
    /// A patient that the store of each site sees.
    pub shared_patient: Option<String>,
}

const ITEMS: &[(&str, &str, usize)] = &[
    ("AMX250", "Amoxicillin 250mg caps", 0),
    ("PCM500", "Paracetamol 500mg tabs", 1),
    ("ORS", "Oral rehydration salts sachet", 2),
    ("COT480", "Cotrimoxazole 480mg tabs", 1),
    ("GLV-M", "Examination gloves medium", 2),
];

const PATIENTS: &[(&str, &str, &str)] =
    &[("Ana", "Silva", "1987-04-12"), ("Tomas", "Reyes", "2019-11-30"), ("Mele", "Tupou", "0000-00-00")];

/// Fills an empty server: a site that is the Open mSupply central server (number 2), so many remote sites with a store in
/// dispensary mode each, and units, items, names, users, a clinician, a master list, patients with their links, and an
/// invoice with two lines. The password of each site is [`PASSWORD`].
pub fn small_world(server: &LegacyServer, sites: u8, oms_central_url: &str) -> SmallWorld {
    let mut world = SmallWorld {
        central: "oms_central".to_owned(),
        central_store_id: legacy_id("store", "OMS"),
        sites: Vec::new(),
        units: Vec::new(),
        items: Vec::new(),
        users: Vec::new(),
        supplier: legacy_id("name", "CMS"),
        master_list: legacy_id("list_master", "ESSENTIAL"),
        shared_patient: None,
    };
    server.add_site(LegacySite::new(2, &world.central, PASSWORD, oms_central_url).oms_central());
    server.add_store(&world.central_store_id, &legacy_id("name", "OMS"), "OMS", SiteId(2));
    add_central_records(server, &mut world);
    for number in 0..sites {
        let letter = char::from(b'a' + number % 26);
        let site = add_site(server, &world, &format!("district_{letter}"), i32::from(number) + 3, oms_central_url);
        world.sites.push(site);
    }
    if world.sites.len() > 1 {
        let shared = legacy_id("name", "SHARED");
        server.put_row("name", &shared, rows::patient(&shared, "P-SHARED", "Ines", "Costa", "1975-01-02"));
        for site in &world.sites {
            add_row(server, "name_store_join", &format!("{} SHARED", site.name), |id| {
                rows::name_store_join(id, &shared, &site.store_id)
            });
        }
        world.shared_patient = Some(shared);
    }
    world
}

fn add_central_records(server: &LegacyServer, world: &mut SmallWorld) {
    for units in ["Capsule", "Tablet", "Each"] {
        world.units.push(add_central(server, "unit", units, |id| rows::unit(id, units)));
    }
    for (code, name, unit) in ITEMS {
        let item = add_central(server, "item", code, |id| rows::item(id, code, name, &world.units[*unit]));
        world.items.push(item);
    }
    for (name, first, last) in [("Admin", "", ""), ("jsmith", "Joan", "Smith")] {
        world.users.push(add_central(server, "user", name, |id| rows::user(id, name, first, last)));
    }
    server.put_central(
        "name",
        &world.supplier,
        rows::name(&world.supplier, "CMS", "Central Medical Store", "facility"),
    );
    let list = &world.master_list;
    server.put_central("list_master", list, rows::list_master(list, "ESSENTIAL", "Essential medicines"));
    for item in &world.items {
        add_central(server, "list_master_line", item, |id| rows::list_master_line(id, list, item));
    }
}

fn add_site(server: &LegacyServer, world: &SmallWorld, name: &str, site_id: i32, oms_central_url: &str) -> SmallSite {
    let code = name.to_uppercase();
    let mut site = SmallSite {
        name: name.to_owned(),
        site_id: SiteId(site_id),
        store_id: legacy_id("store", &code),
        store_name_id: legacy_id("name", &code),
        patients: Vec::new(),
        transact_id: String::new(),
        clinician_id: String::new(),
    };
    let store = &site.store_id;
    server.add_site(LegacySite::new(site_id, name, PASSWORD, oms_central_url));
    server.add_store(store, &site.store_name_id, &code, site.site_id);
    add_central(server, "list_master_name_join", &code, |id| {
        rows::list_master_name_join(id, &world.master_list, &site.store_name_id)
    });
    add_row(server, "name_store_join", &format!("{code} CMS"), |id| rows::name_store_join(id, &world.supplier, store));
    site.clinician_id = add_row(server, "clinician", &code, |id| rows::clinician(id, "C1", "Luis", "Mora", store));
    for (number, (first, last, born)) in PATIENTS.iter().enumerate() {
        let what = format!("{code} {number}");
        let patient =
            add_row(server, "name", &what, |id| rows::patient(id, &format!("P-{code}-{number}"), first, last, born));
        add_row(server, "name_store_join", &what, |id| rows::name_store_join(id, &patient, store));
        site.patients.push(patient);
    }
    let invoice = add_row(server, "transact", &code, |id| rows::transact(id, store, &world.supplier, 1));
    for (number, (item, (_, name, _))) in world.items.iter().zip(ITEMS).take(2).enumerate() {
        add_row(server, "trans_line", &format!("{code} {number}"), |id| {
            rows::trans_line(id, &invoice, item, name, 10 + number as u64)
        });
    }
    site.transact_id = invoice;
    site
}

/// Adds so many invoices, each with a line, to a store; for measurements.
pub fn add_invoices(server: &LegacyServer, store_id: &str, supplier: &str, item: &str, count: u32) {
    for number in 0..count {
        let what = format!("{store_id} {number}");
        let invoice =
            add_row(server, "transact", &what, |id| rows::transact(id, store_id, supplier, u64::from(number) + 100));
        add_row(server, "trans_line", &what, |id| rows::trans_line(id, &invoice, item, "An item", 1));
    }
}

fn add_central(server: &LegacyServer, table: &str, what: &str, row: impl FnOnce(&str) -> Value) -> String {
    let id = legacy_id(table, what);
    server.put_central(table, &id, row(&id));
    id
}

fn add_row(server: &LegacyServer, table: &str, what: &str, row: impl FnOnce(&str) -> Value) -> String {
    let id = legacy_id(table, what);
    server.put_row(table, &id, row(&id));
    id
}
