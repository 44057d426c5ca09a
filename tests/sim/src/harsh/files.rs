//! A hostile neighbour and files: what it tries to take, and to replace.

use serde_json::{Value, json};
use sync_core::protocol::v6::{V6_VERSION, path};
use sync_core::transport::{HttpRequest, Method};

use super::Harsh;
use super::neighbour::credentials;
use crate::files::FilesHalf;
use crate::hosts::Desk;
use crate::lock;
use crate::promises::FORGED;
use crate::rules::fields;
use crate::run::{Chance, Sim};
use crate::world::{self, ADDRESS};

const BOUNDARY: &str = "of-a-neighbour";

impl Sim {
    /// The neighbour points the reference of another's file at a record of its own, brings other bytes, and asks for the file.
    pub(super) fn take_a_file(&self, harsh: &Harsh, half: &FilesHalf) {
        let site = world::rogue(self);
        let ids: Vec<String> = {
            let (book, ledger) = (lock(&half.book), lock(&self.ledger));
            let is_anothers = |(_, file): &(&String, &crate::files::BookedFile)| !ledger.was_for(site, &file.record);
            book.files.iter().filter(is_anothers).map(|(id, _)| id.clone()).collect()
        };
        if ids.is_empty() {
            return;
        }
        let id = &ids[self.roll(Chance::Harsh, ids.len())];
        if self.happens(Chance::Harsh, 700) {
            self.point_elsewhere(harsh, id);
            self.integrate();
        }
        if self.happens(Chance::Harsh, 500) {
            self.bring_other_bytes(half, id);
        }
        let question = json!({"id": id, "tableName": "asset", "recordId": "x",
            "syncV5Settings": credentials(self), "syncV6Version": V6_VERSION});
        let request = HttpRequest {
            method: Method::Post,
            url: format!("{ADDRESS}/{}", path::DOWNLOAD_FILE),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: question.to_string().into_bytes(),
        };
        self.note(|| format!("a neighbour asks for the file {id}"));
        self.deliver_file(half, site, &request);
    }

    fn point_elsewhere(&self, harsh: &Harsh, id: &str) {
        let storage = self.ends[0].process().raw;
        let (held, own) = {
            let Ok(txn) = storage.read() else { return };
            let desk = Desk::at(self, 0, txn.as_ref());
            let prefix = format!("asset-{}-honest", world::rogue(self));
            let own = desk.ids("asset").into_iter().find(|asset| asset.starts_with(&prefix));
            (desk.content("sync_file_reference", id), own)
        };
        let (Some(held), Some(own)) = (held, own) else { return };
        let mut pointed = fields(&held);
        pointed.insert("record_id".to_owned(), json!(own));
        pointed.insert("forged".to_owned(), json!(FORGED));
        let data = Value::Object(pointed).to_string();
        self.push_forged(harsh, vec![(None, "sync_file_reference", id, data)], "[]");
    }

    fn bring_other_bytes(&self, half: &FilesHalf, id: &str) {
        let part = json!({"file_id": id, "syncV5Settings": credentials(self), "syncV6Version": V6_VERSION});
        let body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n\
             {part}\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file_part\"; filename=\"x\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{FORGED}\r\n--{BOUNDARY}--\r\n"
        );
        let request = HttpRequest {
            method: Method::Put,
            url: format!("{ADDRESS}/{}", path::UPLOAD_FILE),
            headers: vec![("content-type".to_owned(), format!("multipart/form-data; boundary={BOUNDARY}"))],
            body: body.into_bytes(),
        };
        self.note(|| format!("a neighbour brings other bytes of {id}"));
        self.deliver_file(half, world::rogue(self), &request);
    }
}
