//! A hostile neighbour and the V5 endpoints of a central server without a legacy server: what it pushes for others, claims to have
//! received, asks for and links.

use serde_json::{Value, json};
use sync_core::protocol::v5::{SiteHeaders, V5_VERSION, path};
use sync_core::protocol::{AppIdentity, PasswordHash, v6};
use sync_core::transport::{HttpRequest, HttpResponse, Method};

use super::Harsh;
use super::neighbour::{EXTREME, credentials};
use super::neighbour_types::Forgery;
use crate::hosts::Desk;
use crate::lock;
use crate::promises::{FORGED, Promise, short};
use crate::run::{Chance, Sim};
use crate::world::{self, ADDRESS, PASSWORD};

impl Sim {
    /// The neighbour asks or pushes over V5.
    pub(super) fn speak_v5(&self, harsh: &Harsh) {
        match self.roll(Chance::Neighbour, 5) {
            0 => self.push_over_v5(harsh),
            1 => self.read_the_queue(),
            2 => {
                let ids: Vec<String> = (0..40).map(|n| n.to_string()).chain(EXTREME.map(str::to_owned)).collect();
                self.ask_v5(Method::Post, path::ACKNOWLEDGED_RECORDS, Some(json!({"syncIds": ids})));
            }
            3 => self.read_central_records(),
            _ => self.link_for_another(),
        }
    }

    /// Pushes what is another's, or of no legacy table.
    fn push_over_v5(&self, harsh: &Harsh) {
        let mut data = Vec::new();
        for _ in 0..=self.roll(Chance::Neighbour, 3) {
            let Some(Forgery { table, id, data: forged }) = self.forgery() else { continue };
            let action = ["insert", "update", "delete"][self.roll(Chance::Neighbour, 3)];
            lock(&self.ledger).was_forged(world::rogue(self), (table.to_owned(), id.clone()));
            let record: Value = serde_json::from_str(&forged).unwrap_or_default();
            let number = self.roll(Chance::Neighbour, 4);
            data.push(json!({"syncOutId": format!("out-{number}"), "tableName": table, "recordId": id,
                "action": action, "recordData": record}));
        }
        // Of a patient that it names, as it names it, and of the patient's link to another's store.
        let number = { *lock(&harsh.neighbours_cursor) };
        let (patient, store) = (format!("patient-{}", self.roll(Chance::Neighbour, 4)), world::store_name(1, 0));
        for (table, record) in [
            ("name", json!({"ID": patient, "type": "patient", "name": FORGED})),
            (
                "name_store_join",
                json!({"ID": format!("join-forged-{number}"), "name_ID": patient, "store_ID": store, "forged": FORGED}),
            ),
        ] {
            data.push(json!({"syncOutId": format!("{table}-{number}"), "tableName": table, "recordId": record["ID"],
                "action": "update", "recordData": record}));
        }
        let left: Value = [json!(0), json!(1), json!(u64::MAX)][self.roll(Chance::Neighbour, 3)].clone();
        self.ask_v5(Method::Post, path::QUEUED_RECORDS, Some(json!({"queueLength": left, "data": data})));
    }

    /// Asks to be initialised and reads its queue, which holds nothing but what it pushed itself.
    fn read_the_queue(&self) {
        if self.happens(Chance::Neighbour, 700) {
            self.ask_v5(Method::Post, path::INITIALISE, Some(json!({})));
        }
        let limit = ["", "?limit=0", "?limit=1", "?limit=18446744073709551615"][self.roll(Chance::Neighbour, 4)];
        let Some(answer) = self.ask_v5(Method::Get, &format!("{}{limit}", path::QUEUED_RECORDS), None) else { return };
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let records = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        for record in records.iter().filter(|record| record["action"] != "delete") {
            let content = record["recordData"].to_string();
            if !content.contains(FORGED) {
                let (table, id) = (&record["tableName"], &record["recordId"]);
                let what = format!(
                    "a neighbour reads {table} {id} in its queue, which it never pushed: {}",
                    short(Some(&content))
                );
                self.violate(Promise::OnlyOnesOwnArrives, what);
            }
        }
    }

    /// Reads the central data from an odd position: stores and their names, and no patient.
    fn read_central_records(&self) {
        let cursor = ["0", "-1", "18446744071562068041", EXTREME[2], "no number"][self.roll(Chance::Neighbour, 5)];
        let limit = [0, 1, 1000, u32::MAX][self.roll(Chance::Neighbour, 4)];
        let asked = format!("{}?cursor={cursor}&limit={limit}", path::CENTRAL_RECORDS);
        let Some(answer) = self.ask_v5(Method::Get, &asked, None) else { return };
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        for record in answer["data"].as_array().map(Vec::as_slice).unwrap_or_default() {
            if record["recordData"]["type"] == "patient" {
                let what = format!("a neighbour reads the patient {} among the central data", record["recordId"]);
                self.violate(Promise::OnlyOnesOwnArrives, what);
            }
        }
    }

    /// Links a patient to another's store, which is refused.
    fn link_for_another(&self) {
        let others: Vec<String> = {
            let storage = self.ends[0].process().raw;
            let Ok(txn) = storage.read() else { return };
            let (stores, site) = (Desk::at(self, 0, txn.as_ref()).stores, world::rogue(self));
            let ledger = lock(&self.ledger);
            stores.into_iter().filter(|store| !ledger.was_on(store, site)).collect()
        };
        if others.is_empty() {
            return;
        }
        let store = &others[self.roll(Chance::Neighbour, others.len())];
        let patient = format!("patient-{}", self.roll(Chance::Neighbour, 4));
        let answer = if self.happens(Chance::Neighbour, 500) {
            let join = json!({"name_ID": patient, "store_ID": store});
            self.ask_v5(Method::Post, path::NAME_STORE_JOIN, Some(join))
        } else {
            let join = json!({"id": "join-forged", "nameId": patient, "storeId": store,
                "syncV5Settings": credentials(self)});
            self.send_to_central(v6::path::NAME_STORE_JOIN, join.to_string())
        };
        let Some(answer) = answer else { return };
        if answer.status == 200 {
            let what = format!("a neighbour links {patient} to {store}, which is another's");
            self.violate(Promise::OnlyWhoMayChanges, what);
        }
    }

    fn ask_v5(&self, method: Method, path: &str, body: Option<Value>) -> Option<HttpResponse> {
        let site = world::rogue(self);
        let headers = SiteHeaders {
            site_name: world::site_name(site),
            password: PasswordHash::of_password(PASSWORD),
            hardware_id: format!("machine-{site}"),
            app: AppIdentity::default(),
            version: V5_VERSION,
        };
        let request = HttpRequest {
            method,
            url: format!("{ADDRESS}{path}"),
            headers: headers.to_headers(),
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        self.note(|| format!("a neighbour: {method:?} {path} {}", String::from_utf8_lossy(&request.body)));
        let failed = self.ends[0].process().faulty.failed();
        let response = self.deliver(site, &request)?;
        let is_by_fault = self.ends[0].process().faulty.failed() > failed || self.ends[0].is_down();
        // 503: the push counts as a late copy of an earlier one.
        if response.status >= 500 && response.status != 503 && !is_by_fault {
            let said = String::from_utf8_lossy(&response.body).into_owned();
            self.violate(Promise::ErrorsAreSaid, format!("central answers {} to {path}: {said}", response.status));
        }
        Some(response)
    }
}
