//! All others who use central at the same time: sites that pull, send files and fetch them, and link patients over V5, and an
//! administrator who writes, moves a store, changes passwords and removes a site.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastrand::Rng;
use serde_json::{Value, json};
use sync_core::Replica;
use sync_core::protocol::v5::{SiteHeaders, V5_VERSION, path as v5};
use sync_core::protocol::v6::{V6_VERSION, path};
use sync_core::protocol::{AppIdentity, PasswordHash};
use sync_core::record::{RecordData, StoreId};
use sync_core::storage::Storage;
use sync_core::transport::{HttpRequest, HttpResponse, Method};

use super::{ROUNDS, SITES, World};
use crate::hosts::template;
use crate::ledger::Key;
use crate::lock;
use crate::rules::fields;
use crate::world::{self, PASSWORD};

/// The site that links patients.
pub(super) const LINKS: usize = SITES + 1;

/// The site that sends files and fetches them.
pub(super) const SENDS: usize = SITES + 2;

/// The site that is removed.
pub(super) const LEAVES: usize = SITES + 3;

/// How many stores move, whose records central writes: the first again and again, each other one once.
pub(super) const MOVING: usize = 9;

/// The name of a store that moves.
pub(super) fn moving(number: usize) -> String {
    format!("store-moving-{number}")
}

/// The patients whom one site links.
const PATIENTS: [&str; 2] = ["patient-1", "patient-2"];

/// Who else there is, and what they know.
#[derive(Default)]
pub(super) struct Crowd {
    /// How often the password of a site was changed.
    passwords: BTreeMap<usize, u32>,
    /// How far each site has read, and what it was sent.
    read: BTreeMap<usize, (u64, BTreeMap<Key, Value>)>,
    /// The patients who are linked.
    linked: Vec<&'static str>,
    removed: bool,
    /// The stores that move, each with a site that it was moved to.
    moved: BTreeSet<(String, usize)>,
}

/// The password of a site after so many changes.
fn password(changes: u32) -> PasswordHash {
    match changes {
        0 => PasswordHash::of_password(PASSWORD),
        changes => PasswordHash::of_password(&format!("{PASSWORD} {changes}")),
    }
}

/// What central has at first: patients with a vaccination each, and an asset of each store that moves.
pub(super) fn first_records(storage: &Arc<dyn Storage>) {
    let records = Replica::builder().with_storage(storage.clone()).records();
    let put = |table: &str, fields: Value| {
        let mut document = template(table);
        document.extend(fields.as_object().cloned().unwrap_or_default());
        records.put(table, [RecordData::of(&document)]).expect("a record of central");
    };
    put("vaccine_course", json!({"id": "course"}));
    put("vaccine_course_dose", json!({"id": "dose", "vaccine_course_id": "course"}));
    for number in 0..MOVING {
        let id = format!("asset-moving-0-of-{number}");
        put("asset", json!({"id": id, "notes": "first", "store_id": moving(number)}));
    }
    for patient in PATIENTS {
        put("name", json!({"ID": patient, "name": patient, "last": patient, "type": "patient"}));
        put(
            "vaccination",
            json!({"id": format!("vaccination-of-{patient}"), "vaccine_course_dose_id": "dose", "patient_id": patient}),
        );
    }
}

impl World {
    /// The password that the administrator has set for a site.
    pub(super) fn password(&self, site: usize) -> PasswordHash {
        password(lock(&self.crowd).passwords.get(&site).copied().unwrap_or(0))
    }

    /// Sites pull a batch in turn.
    pub(super) fn puller(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed ^ 0x5055_4c4c);
        for _ in 0..40 {
            let sites = if rng.u8(..4) == 0 { SENDS } else { SITES };
            self.pull(1 + rng.usize(..sites), 1 + rng.u64(..5));
            self.schedule.point();
        }
    }

    /// A site pulls a batch as Open mSupply does, which goes on behind the end of each. Says whether nothing is left.
    fn pull(&self, site: usize, size: u64) -> bool {
        let from = lock(&self.crowd).read.get(&site).map_or(0, |(cursor, _)| *cursor);
        let mut question = self.signed(site);
        question["cursor"] = json!(from);
        question["batchSize"] = json!(size);
        question["isInitialised"] = json!(true);
        let answer = self.ask(path::PULL, question.to_string().into_bytes());
        let Some(records) = answer["data"]["records"].as_array() else { return false };
        let mut crowd = lock(&self.crowd);
        let (cursor, held) = crowd.read.entry(site).or_default();
        for element in records {
            let record = &element["record"];
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            let key = (text("tableName"), text("recordId"));
            match record["action"] == "Delete" {
                true => drop(held.remove(&key)),
                false => drop(held.insert(key, record["recordData"].clone())),
            }
        }
        *cursor = answer["data"]["end_cursor"].as_u64().unwrap_or(from) + 1;
        answer["data"]["is_last_batch"] == true
    }

    /// The administrator writes in the store that moves, moves it, changes passwords, and removes a site.
    pub(super) fn administrator(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed ^ 0x0041_444d_494e);
        let replica = || Replica::builder().clock(self.clock.clone()).with_storage(self.scheduled.clone());
        let mut left = 1..MOVING;
        for round in 0..8 * ROUNDS {
            match rng.usize(..10) {
                0..=3 => {
                    let id = format!("asset-moving-{}-of-0", rng.usize(..3));
                    let mut asset = template("asset");
                    let new = json!({"id": id, "notes": format!("v{round}"), "store_id": moving(0)});
                    asset.extend(new.as_object().cloned().unwrap_or_default());
                    if let Err(error) = replica().records().put("asset", [RecordData::of(&asset)]) {
                        self.broke(format!("central cannot write {id}: {error}"));
                    }
                }
                4..=7 => {
                    let site = 1 + rng.usize(..SITES);
                    let to = world::site_name(site);
                    // Told first: the site may ask while this is under way.
                    let store = moving(if rng.bool() { left.next().unwrap_or(0) } else { 0 });
                    lock(&self.crowd).moved.insert((store.clone(), site));
                    let moved = replica()
                        .site_registry()
                        .and_then(|sites| sites.add_store(&store, &store, &to, Some(StoreId::from(store.as_str()))));
                    if let Err(error) = moved {
                        self.broke(format!("{store} cannot move to {to}: {error}"));
                    }
                }
                8 => self.change_password(1 + rng.usize(..SITES)),
                _ => self.remove_the_site(),
            }
            self.schedule.point();
        }
        self.remove_the_site();
    }

    /// From the moment when a password was set no other one is taken.
    fn change_password(&self, site: usize) {
        let changes = lock(&self.crowd).passwords.get(&site).copied().unwrap_or(0);
        let sites = Replica::builder().clock(self.clock.clone()).with_storage(self.scheduled.clone()).site_registry();
        let set = sites.and_then(|sites| sites.set_password(&world::site_name(site), &password(changes + 1)));
        if let Err(error) = set {
            return self.broke(format!("the password of site {site} cannot be set: {error}"));
        }
        lock(&self.crowd).passwords.insert(site, changes + 1);
        let former = self.ask(path::SITE_STATUS, self.signed_with(site, &password(changes)).to_string().into_bytes());
        if former.get("data").is_some() {
            self.broke(format!("site {site} comes in with its former password"));
        }
    }

    /// From the moment when a site was removed it is answered no more.
    fn remove_the_site(&self) {
        let sites = Replica::builder().clock(self.clock.clone()).with_storage(self.scheduled.clone()).site_registry();
        if std::mem::replace(&mut lock(&self.crowd).removed, true) {
            return;
        }
        if let Err(error) = sites.and_then(|sites| sites.remove(&world::site_name(LEAVES))) {
            return self.broke(format!("site {LEAVES} cannot be removed: {error}"));
        }
        let answer = self.ask(path::SITE_STATUS, self.signed(LEAVES).to_string().into_bytes());
        if answer.get("data").is_some() {
            self.broke(format!("site {LEAVES} is answered after it was removed"));
        }
    }

    /// The site that leaves asks until it is gone.
    pub(super) fn leaver(&self) {
        for _ in 0..10 {
            self.ask(path::SITE_STATUS, self.signed(LEAVES).to_string().into_bytes());
            self.schedule.point();
        }
    }

    /// A site finds patients, links them over V5 and V6, reads its queue, and pulls what is theirs.
    pub(super) fn linker(&self) {
        for patient in PATIENTS {
            self.ask_v5(Method::Get, v5::SITE, None);
            self.ask_v5(Method::Get, v5::SITE_STATUS, None);
            let found = self.ask_v5(Method::Get, &format!("{}?last_name=@{patient}@", v5::PATIENT), None);
            if found.status != 200 || !String::from_utf8_lossy(&found.body).contains(patient) {
                self.broke(format!("{patient} is not found: {}", found.status));
            }
            let store = world::store_name(LINKS, 0);
            let join = json!({"name_ID": patient, "store_ID": store});
            let made = self.ask_v5(Method::Post, v5::NAME_STORE_JOIN, Some(join));
            let id = serde_json::from_slice::<Value>(&made.body).unwrap_or_default()["ID"].clone();
            if made.status != 200 || !id.is_string() {
                self.broke(format!(
                    "{patient} cannot be linked: {} {}",
                    made.status,
                    String::from_utf8_lossy(&made.body)
                ));
                continue;
            }
            let mut join = self.signed(LINKS);
            (join["id"], join["nameId"], join["storeId"]) = (id, json!(patient), json!(store));
            let linked = self.send(path::NAME_STORE_JOIN, join.to_string().into_bytes());
            if linked.status != 200 {
                self.broke(format!("{patient} cannot be linked: {}", String::from_utf8_lossy(&linked.body)));
            }
            lock(&self.crowd).linked.push(patient);
            let queue = self.ask_v5(Method::Get, v5::QUEUED_RECORDS, None);
            if !String::from_utf8_lossy(&queue.body).contains(patient) {
                self.broke(format!("the queue does not bring {patient}, who was linked"));
            }
            let mut question = self.signed(LINKS);
            (question["cursor"], question["batchSize"]) = (json!(0), json!(100));
            question["fetchPatientId"] = json!(patient);
            let pulled = self.ask(path::PATIENT_PULL, question.to_string().into_bytes());
            let is_theirs = |element: &Value| element["record"]["recordId"] == format!("vaccination-of-{patient}");
            let records = pulled["data"]["records"].as_array();
            if records.is_some_and(|records| !records.iter().any(is_theirs)) {
                self.broke(format!("{patient} is linked, and a pull of the patient brings no vaccination"));
            }
        }
    }

    /// A site pushes references of files, sends the bytes, and fetches them.
    pub(super) fn sender(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed ^ 0x5345_4e44);
        for number in 0..ROUNDS {
            let (asset, file) = (format!("asset-of-file-{number}"), format!("file-{number}"));
            let bytes: String = (0..rng.usize(1..3000)).map(|_| rng.alphanumeric()).collect();
            let mut records = Vec::new();
            let new = [
                ("asset", &asset, json!({"id": asset, "store_id": world::store_name(SENDS, 0)})),
                (
                    "sync_file_reference",
                    &file,
                    json!({"id": file, "table_name": "asset", "record_id": asset, "file_name": "photo.jpg",
                        "total_bytes": bytes.len(), "created_datetime": "2024-02-01T09:30:00"}),
                ),
            ];
            for (at, (table, id, fields)) in new.into_iter().enumerate() {
                let mut document = template(table);
                document.extend(fields.as_object().cloned().unwrap_or_default());
                records.push(json!({"cursor": 2 * number + at + 1, "record":
                    {"tableName": table, "recordId": id, "action": "Update", "recordData": document}}));
            }
            let batch =
                json!({"end_cursor": 2 * number + 2, "total_records": 2, "records": records, "is_last_batch": true});
            if !self.push(SENDS, &batch) {
                return self.broke(format!("the reference of {file} cannot be pushed"));
            }
            let taken = (0..500).any(|_| {
                let answer = self.upload(&file, &bytes);
                self.schedule.point();
                answer.status == 200 && !String::from_utf8_lossy(&answer.body).contains("error")
            });
            if !taken {
                return self.broke(format!("central never takes {file}"));
            }
            // It comes once more, as after an answer that was lost.
            self.upload(&file, &bytes);
            let mut question = self.signed(SENDS);
            (question["id"], question["tableName"], question["recordId"]) = (json!(file), json!("asset"), json!(asset));
            let given = self.send(path::DOWNLOAD_FILE, question.to_string().into_bytes());
            if given.status != 200 || given.body != bytes.as_bytes() {
                let what = String::from_utf8_lossy(&given.body).chars().take(200).collect::<String>();
                self.broke(format!("{file} was taken, and is given as {} {what}", given.status));
            }
        }
    }

    fn upload(&self, file: &str, bytes: &str) -> HttpResponse {
        const BOUNDARY: &str = "of-a-thread";
        let signed = self.signed(SENDS);
        let part =
            json!({"file_id": file, "sync_v5_settings": signed["syncV5Settings"], "sync_v6_version": V6_VERSION});
        let body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n\
             {part}\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file_part\"; filename=\"x\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{bytes}\r\n--{BOUNDARY}--\r\n"
        );
        let headers = vec![("content-type".to_owned(), format!("multipart/form-data; boundary={BOUNDARY}"))];
        let url = format!("/{}", path::UPLOAD_FILE);
        self.central.handle(&HttpRequest { method: Method::Put, url, headers, body: body.into_bytes() })
    }

    fn ask_v5(&self, method: Method, url: &str, body: Option<Value>) -> HttpResponse {
        let headers = SiteHeaders {
            site_name: world::site_name(LINKS),
            password: self.password(LINKS),
            hardware_id: format!("machine-{LINKS}"),
            app: AppIdentity::default(),
            version: V5_VERSION,
        };
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.central.handle(&HttpRequest { method, url: url.to_owned(), headers: headers.to_headers(), body })
    }

    /// In the end each site has been sent all that is its own and that it did not write itself, as central holds it.
    pub(super) fn look_at_pulls(&self) {
        for site in 1..=SENDS {
            if !(0..500).any(|_| self.pull(site, 3)) {
                self.broke(format!("the pull of site {site} never ends"));
            }
        }
        let txn = self.storage.read().expect("a transaction");
        let records = |table: &str| txn.records(&table.into(), None, usize::MAX >> 1).expect("readable records");
        let crowd = lock(&self.crowd);
        let nothing = BTreeMap::new();
        let held = |site: usize| crowd.read.get(&site).map_or(&nothing, |(_, held)| held);
        for (id, data) in records("asset").into_iter().filter(|(id, _)| id.as_str().starts_with("asset-moving")) {
            let key = ("asset".to_owned(), id.to_string());
            let central: Value = serde_json::from_str(data.as_str()).unwrap_or_default();
            let store = central["store_id"].as_str().unwrap_or_default().to_owned();
            let place = txn.record(&"store".into(), &store.as_str().into()).expect("a readable record");
            let number = place.map(|data| fields(data.as_str())["sync_id_remote_site"].as_i64().unwrap_or(0));
            for site in 1..=SITES {
                let (theirs, is_its) = (held(site).get(&key), number == Some(i64::from(world::number(site).0)));
                if is_its && theirs != Some(&central) {
                    self.broke(format!("site {site} has {store}, and of {id} it was sent {theirs:?}"));
                }
                // A site keeps what it had of a store that has left it.
                if theirs.is_some() && site != 1 && !crowd.moved.contains(&(store.clone(), site)) {
                    self.broke(format!("site {site} never had {store}, and holds {id}"));
                }
            }
        }
        for patient in &crowd.linked {
            if !held(LINKS).contains_key(&("vaccination".to_owned(), format!("vaccination-of-{patient}"))) {
                self.broke(format!("{patient} is linked, and no pull brings the vaccination"));
            }
        }
        for site in 1..=SENDS {
            let foreign = |(table, id): &&Key| table == "asset" && !id.starts_with("asset-moving");
            if let Some((_, id)) = held(site).keys().find(foreign) {
                self.broke(format!("site {site} was sent {id}, which is another's or its own"));
            }
        }
    }
}
