//! A hostile neighbour: who has the credentials of a site with one store, and pushes and asks what no honest program would.

use serde_json::{Value, json};
use sync_core::protocol::PasswordHash;
use sync_core::protocol::v6::{V6_VERSION, path};
use sync_core::transport::{HttpRequest, HttpResponse, Method};

use super::Harsh;
use crate::hosts::Desk;
use crate::legacy::LEGACY;
use crate::lock;
use crate::promises::{FORGED, Promise, short};
use crate::rules::{StoreOf, fields, rule_of};
use crate::run::{Chance, Sim};
use crate::world::{self, ADDRESS, PASSWORD};

/// Positions that no honest changelog has.
pub(super) const EXTREME: [&str; 3] = ["9223372036854775807", "9223372036854775808", "18446744073709551615"];

/// Values that not every peer can read or store, as they stand in JSON.
const UNREADABLE: [&str; 5] = ["1e999", r#""\ud800""#, r#""a\u0000b""#, "DEEP", "DEEPER"];

/// A record that the neighbour pushes: its cursor, its table, its id as JSON, and its data as JSON.
struct NeighbourPush {
    cursor: String,
    table: String,
    id: String,
    action: &'static str,
    data: String,
}

impl Sim {
    /// The neighbour does something, and then something honest, which must be taken.
    pub(super) fn neighbour(&self, harsh: &Harsh) {
        if self.ends[0].is_down() {
            return;
        }
        let half = self.files.as_ref().filter(|_| self.happens(Chance::Harsh, 400));
        match self.roll(Chance::Harsh, 7) {
            _ if half.is_some() => half.map_or((), |half| self.take_a_file(harsh, half)),
            0 => self.push_one_key_twice(harsh),
            1 => self.push_what_nobody_reads(harsh),
            2 => self.push_with_an_extreme_cursor(harsh),
            3 => self.claim_a_loss(harsh),
            4 => self.change_a_patient(harsh),
            5 => self.replace_what_is_of_no_store(harsh),
            _ => self.ask_strange_questions(harsh),
        }
        if harsh.swarm.neighbour_forges_all {
            match self.roll(Chance::Neighbour, 3) {
                0 if self.legacy.is_none() => self.speak_v5(harsh),
                _ => self.push_any_type(harsh),
            }
        }
        self.push_honestly(harsh);
    }

    fn next_cursor(&self, harsh: &Harsh) -> String {
        let mut cursor = lock(&harsh.neighbours_cursor);
        *cursor += 1;
        cursor.to_string()
    }

    fn own_store(&self) -> String {
        world::store_name(world::rogue(self), 0)
    }

    /// A document of the neighbour's own store, or of none.
    fn neighbours_asset(&self, id: &str, forged: bool) -> serde_json::Map<String, Value> {
        let storage = self.ends[0].process().raw;
        let txn = storage.read().expect("a transaction");
        let desk = Desk::at(self, 0, txn.as_ref());
        let rule = rule_of("asset", None).expect("a rule");
        let mut document = fields(&desk.document(rule, id, None, false));
        document.insert("store_id".to_owned(), json!(self.own_store()));
        if forged {
            document.insert("forged".to_owned(), json!(FORGED));
        }
        document
    }

    /// A record of another site, by its table and id, of a store or for everybody.
    fn victim(&self) -> Option<(String, String, Option<String>)> {
        let site = world::rogue(self);
        let storage = self.ends[0].process().raw;
        let txn = storage.read().ok()?;
        let desk = Desk::at(self, 0, txn.as_ref());
        let ledger = lock(&self.ledger);
        let mut victims = Vec::new();
        for table in ["asset", "rnr_form", "plugin_data"] {
            for id in desk.ids(table) {
                let stores = ledger.stores_ever(&(table.to_owned(), id.clone()));
                let is_anothers =
                    |store: &Option<String>| store.as_ref().is_some_and(|store| !ledger.was_on(store, site));
                if !stores.is_empty() && stores.iter().all(is_anothers) {
                    let content = desk.content(table, &id);
                    victims.push((table.to_owned(), id, content));
                }
            }
        }
        drop(ledger);
        (!victims.is_empty()).then(|| victims.swap_remove(self.roll(Chance::Harsh, victims.len())))
    }

    /// A record with a key twice: once with the neighbour's store, once with another's.
    fn push_one_key_twice(&self, harsh: &Harsh) {
        let victim = self.victim();
        let theirs = match &victim {
            Some((.., Some(content))) => fields(content)["store_id"].as_str().unwrap_or("store-1-0").to_owned(),
            _ => world::store_name(1, 0),
        };
        let takes_over = victim.is_some() && self.happens(Chance::Harsh, 500);
        let id = match victim.filter(|(table, ..)| takes_over && table == "asset") {
            Some((_, id, _)) => id,
            None => format!("asset-twice-{}", self.roll(Chance::Harsh, 4)),
        };
        let data = Value::Object(self.neighbours_asset(&id, true)).to_string();
        let (first, last) = if self.happens(Chance::Harsh, 500) { (0, 1) } else { (1, 0) };
        let stores = [self.own_store(), theirs];
        let data =
            data.replacen(&format!("\"store_id\":\"{}\"", stores[0]), &format!("\"store_id\":\"{}\"", stores[last]), 1);
        let data = format!("{{\"store_id\":\"{}\",{}", stores[first], &data[1..]);
        self.push_forged(harsh, vec![(None, "asset", &id, data)], "[]");
    }

    /// A record that a peer somewhere cannot read or keep, openly or behind a key that stands twice.
    fn push_what_nobody_reads(&self, harsh: &Harsh) {
        let id = format!("asset-unreadable-{}", self.roll(Chance::Harsh, 4));
        let bad = match UNREADABLE[self.roll(Chance::Harsh, UNREADABLE.len())] {
            "DEEP" => "[".repeat(200) + &"]".repeat(200),
            "DEEPER" => "[".repeat(1000) + &"]".repeat(1000),
            other => other.to_owned(),
        };
        let data = Value::Object(self.neighbours_asset(&id, true)).to_string();
        let data = match self.roll(Chance::Harsh, 3) {
            0 => format!("{{\"id\":{bad},{}", &data[1..]),
            1 => format!("{{\"extra\":{bad},{}", &data[1..]),
            _ => data.replacen(FORGED, &format!("{FORGED}\\u0000"), 1),
        };
        self.push_forged(harsh, vec![(None, "asset", &id, data)], "[]");
    }

    fn push_with_an_extreme_cursor(&self, harsh: &Harsh) {
        let id = format!("asset-extreme-{}", self.roll(Chance::Harsh, 4));
        let data = Value::Object(self.neighbours_asset(&id, true)).to_string();
        let cursor = EXTREME[self.roll(Chance::Harsh, EXTREME.len())];
        self.push_forged(harsh, vec![(Some(cursor), "asset", &id, data)], "[]");
    }

    /// Pushes another's record, which is refused; says then that it was lost with a backup, so that central would tell of
    /// the record as it is; and reads.
    fn claim_a_loss(&self, harsh: &Harsh) {
        let Some((table, id, _)) = self.victim() else { return };
        let rule = rule_of(&table, None).expect("a rule");
        let storage = self.ends[0].process().raw;
        let mut document = {
            let txn = storage.read().expect("a transaction");
            fields(&Desk::at(self, 0, txn.as_ref()).document(rule, &id, None, false))
        };
        document.insert("forged".to_owned(), json!(FORGED));
        if let StoreOf::Field(field) = rule.store {
            document.insert(field.to_owned(), json!(self.own_store()));
        }
        let data = Value::Object(document).to_string();
        let cursor = self.next_cursor(harsh);
        self.push_forged(harsh, vec![(Some(&cursor), &table, &id, data.clone())], "[]");
        self.integrate();
        let before = { *lock(&harsh.neighbours_cursor) + 10 };
        *lock(&harsh.neighbours_cursor) = before;
        let lost = match self.roll(Chance::Harsh, 4) {
            0 => format!(r#"[{{"after":{},"before":{cursor}}}]"#, EXTREME[0]),
            _ => format!(r#"[{{"after":{cursor},"before":{before}}}]"#),
        };
        // Not to the letter what was pushed before, which would count as the same push.
        let again = data.replacen(FORGED, &format!("{FORGED} again"), 1);
        self.push_forged(harsh, vec![(Some(&cursor), &table, &id, again)], &lost);
        self.integrate();
        for (from, is_initialised) in [(0, false), (0, true)] {
            self.ask(path::PULL, json!({"cursor": from, "batchSize": 1000, "isInitialised": is_initialised}));
        }
    }

    /// Overwrites a record that belongs to no store and that another wrote.
    fn replace_what_is_of_no_store(&self, harsh: &Harsh) {
        let table = ["system_log", "sync_file_reference"][self.roll(Chance::Harsh, 2)];
        let storage = self.ends[0].process().raw;
        let (id, data) = {
            let Ok(txn) = storage.read() else { return };
            let desk = Desk::at(self, 0, txn.as_ref());
            let mut ids = desk.ids(table);
            // The file of a record of its own is the neighbour's to change.
            ids.retain(|id| !lock(&self.ledger).is_file_of(world::rogue(self), &(table.to_owned(), id.clone())));
            if ids.is_empty() {
                return;
            }
            let id = ids[self.roll(Chance::Harsh, ids.len())].clone();
            let mut document = fields(&desk.content(table, &id).unwrap_or_default());
            document.insert("forged".to_owned(), json!(FORGED));
            (id, Value::Object(document).to_string())
        };
        self.push_forged(harsh, vec![(None, table, &id, data)], "[]");
    }

    /// Overwrites or deletes a patient whom the neighbour does not see.
    fn change_a_patient(&self, harsh: &Harsh) {
        let storage = self.ends[0].process().raw;
        let document = {
            let Ok(txn) = storage.read() else { return };
            let desk = Desk::at(self, 0, txn.as_ref());
            let ids = desk.ids("name");
            let Some(id) = (!ids.is_empty()).then(|| ids[self.roll(Chance::Harsh, ids.len())].clone()) else { return };
            let rule = rule_of("name", None).expect("a rule");
            let held = desk.content("name", &id);
            let mut document = fields(&desk.document(rule, &id, held.as_deref(), false));
            document.insert("forged".to_owned(), json!(FORGED));
            (id, Value::Object(document).to_string())
        };
        let (id, data) = document;
        let action = if self.happens(Chance::Harsh, 300) { "Delete" } else { "Update" };
        self.push_forged_as(harsh, action, ("name", &id, data));
    }

    /// Pushes a record that the neighbour may not write, or its deletion.
    pub(super) fn push_forged_as(&self, harsh: &Harsh, action: &'static str, (table, id, data): (&str, &str, String)) {
        let cursor = self.next_cursor(harsh);
        lock(&self.ledger).was_forged(world::rogue(self), (table.to_owned(), id.to_owned()));
        let (table, id) = (table.to_owned(), json!(id).to_string());
        self.push_raw(vec![NeighbourPush { cursor, table, id, action, data }], "[]");
    }

    /// Questions that are odd: of patients, with extreme cursors, for no records at all.
    fn ask_strange_questions(&self, harsh: &Harsh) {
        let cursors = ["0", "18446744071562068041", "18446744073709551615", "9223372036854775807", "4294967296"];
        let cursor: Value = serde_json::from_str(cursors[self.roll(Chance::Harsh, cursors.len())]).unwrap_or_default();
        let size = [0, 1, 1000, u32::MAX][self.roll(Chance::Harsh, 4)];
        let is_initialised = self.happens(Chance::Harsh, 500);
        if self.happens(Chance::Harsh, 500) {
            let patient = format!("patient-{}", self.roll(Chance::Harsh, 4));
            self.ask(path::PATIENT_PULL, json!({"cursor": cursor, "batchSize": size, "fetchPatientId": patient}));
        } else {
            self.ask(path::PULL, json!({"cursor": cursor, "batchSize": size, "isInitialised": is_initialised}));
        }
        if self.happens(Chance::Harsh, 200) {
            // A very long list of losses.
            let lost: Vec<String> = (0..3000).map(|n| format!(r#"{{"after":{n},"before":{}}}"#, n + 2)).collect();
            let id = format!("asset-lost-{}", self.roll(Chance::Harsh, 4));
            let data = Value::Object(self.neighbours_asset(&id, true)).to_string();
            self.push_forged(harsh, vec![(Some(EXTREME[1]), "asset", &id, data)], &format!("[{}]", lost.join(",")));
        }
    }

    /// An asset of the neighbour's own store, as any site pushes one. It must be taken, whatever the neighbour did before.
    fn push_honestly(&self, harsh: &Harsh) {
        let site = world::rogue(self);
        let number = { lock(&harsh.neighbours_cursor).to_string() };
        let id = format!("asset-{site}-honest-{number}");
        let data = Value::Object(self.neighbours_asset(&id, false)).to_string();
        let key = ("asset".to_owned(), id.clone());
        let version = lock(&self.ledger).wrote(site, key, None, Some(data.clone()));
        let cursor = self.next_cursor(harsh);
        let failed = self.ends[0].process().faulty.failed();
        let pushed =
            NeighbourPush { cursor, table: "asset".to_owned(), id: json!(id).to_string(), action: "Update", data };
        let response = self.push_raw(vec![pushed], "[]");
        let answer = response.map(|response| serde_json::from_slice::<Value>(&response.body).unwrap_or_default());
        let is_taken = answer.as_ref().is_some_and(|answer| answer["data"]["records_pushed"] == 1);
        if !is_taken {
            // Nobody was told that it was taken; it may be all the same.
            lock(&self.ledger).versions[version].is_void = true;
        }
        let is_by_fault = self.ends[0].process().faulty.failed() > failed || self.ends[0].is_down();
        if let Some(answer) = answer.filter(|answer| !is_taken && !is_by_fault && !is_wait(answer)) {
            self.violate(Promise::ErrorsAreSaid, format!("an honest push of a neighbour is not taken: {answer}"));
        }
    }

    /// Pushes what may be taken nowhere, with cursors of the neighbour's own where none is given.
    pub(super) fn push_forged(&self, harsh: &Harsh, records: Vec<(Option<&str>, &str, &str, String)>, lost: &str) {
        let site = world::rogue(self);
        let mut pushed = Vec::new();
        for (cursor, table, id, data) in records {
            lock(&self.ledger).was_forged(site, (table.to_owned(), id.to_owned()));
            let cursor = cursor.map_or_else(|| self.next_cursor(harsh), str::to_owned);
            let (table, id) = (table.to_owned(), json!(id).to_string());
            pushed.push(NeighbourPush { cursor, table, id, action: "Update", data });
        }
        self.push_raw(pushed, lost);
    }

    fn push_raw(&self, records: Vec<NeighbourPush>, lost: &str) -> Option<HttpResponse> {
        let mut elements = Vec::new();
        let end = records.last().map_or_else(|| "0".to_owned(), |pushed| pushed.cursor.clone());
        for NeighbourPush { cursor, table, id, action, data } in &records {
            self.note(|| {
                let start: String = data.chars().take(200).collect();
                format!("a neighbour pushes {action} {table} {id} at {cursor}: {} {start}", short(Some(data)))
            });
            elements.push(format!(
                r#"{{"cursor":{cursor},"record":{{"tableName":"{table}","recordId":{id},"action":"{action}","recordData":{data}}}}}"#
            ));
        }
        let count = elements.len();
        let batch = format!(
            r#"{{"end_cursor":{end},"total_records":{count},"records":[{}],"is_last_batch":true,"lost_history":{lost}}}"#,
            elements.join(",")
        );
        let credentials = credentials(self);
        let body = format!(r#"{{"batch":{batch},"syncV5Settings":{credentials},"syncV6Version":{V6_VERSION}}}"#);
        self.send_to_central(path::PUSH, body)
    }

    fn ask(&self, path: &str, mut question: Value) {
        question["syncV5Settings"] = credentials(self);
        question["syncV6Version"] = json!(V6_VERSION);
        let failed = self.ends[0].process().faulty.failed();
        self.note(|| format!("a neighbour asks {path} {}", question["cursor"]));
        let Some(response) = self.send_to_central(path, question.to_string()) else { return };
        let is_by_fault = self.ends[0].process().faulty.failed() > failed;
        if response.status >= 500 && !is_by_fault {
            self.violate(Promise::ErrorsAreSaid, format!("central answers {} to a question", response.status));
        }
    }

    pub(super) fn send_to_central(&self, path: &str, body: String) -> Option<HttpResponse> {
        let request = HttpRequest {
            method: Method::Post,
            url: format!("{ADDRESS}/{path}"),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into_bytes(),
        };
        self.deliver(world::rogue(self), &request)
    }
}

pub(super) fn credentials(sim: &Sim) -> Value {
    let site = world::rogue(sim);
    json!({
        "serverUrl": ADDRESS, "username": world::site_name(site),
        "passwordSha256": PasswordHash::of_password(PASSWORD).expose(),
        "siteUuid": format!("machine-{site}"), "appVersion": "2.19.0", "appName": "neighbour", "syncVersion": "14",
    })
}

/// Whether an answer says to come again: something is being integrated, or who asks is not known yet.
fn is_wait(answer: &Value) -> bool {
    let error = answer["error"].to_string();
    error.contains("IntegrationInProgress")
        || error.contains("integrationInProgress")
        // The legacy server is asked who comes, and is at fault itself.
        || error.contains(LEGACY)
        || error.contains("onnection problem")
}
