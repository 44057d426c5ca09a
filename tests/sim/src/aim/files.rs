//! Files over lines that carry little at a time, and strangers who bring some.

use sync_core::protocol::PasswordHash;
use sync_core::protocol::v6::{V6_VERSION, path};
use sync_core::transport::{HttpRequest, Method};

use super::Aim;
use crate::files::all_in;
use crate::lock;
use crate::promises::Promise;
use crate::run::{Phase, Sim};
use crate::world::{self, ADDRESS};

const BOUNDARY: &str = "of-a-stranger";

/// What a stranger brings.
const STRANGE: &str = "the bytes that a stranger brings";

impl Sim {
    /// How many bytes of the body of a file come through before the line breaks, if so many are too many for it. What goes
    /// up begins anew each time, so a line that never carried it whole would be no fault of the engine's.
    pub(crate) fn breaks_file_after(&self, bytes: usize, is_up: bool) -> Option<usize> {
        let narrow = self.harsh.as_ref().filter(|_| self.aims_at(Aim::NarrowFiles))?.swarm.narrow?;
        let most = match (lock(&self.state).phase, is_up) {
            (Phase::Chaos, true) => narrow.up,
            (Phase::Chaos | Phase::Quiet, false) => narrow.down,
            _ => return None,
        };
        (bytes > most).then_some(most)
    }

    /// Somebody whom central does not know sends a file before saying who it is: nothing of it may stay.
    pub(super) fn stranger_brings_a_file(&self) {
        let Some(half) = self.files.as_ref().filter(|_| !self.ends[0].is_down()) else { return };
        let part = serde_json::json!({"file_id": "file-of-a-stranger", "syncV6Version": V6_VERSION, "syncV5Settings": {
            "serverUrl": ADDRESS, "username": world::site_name(1), "passwordSha256":
            PasswordHash::of_password("guessed").expose(), "siteUuid": "machine-of-a-stranger", "appVersion": "2.19.0",
            "appName": "stranger", "syncVersion": "14"}});
        let body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file_part\"; filename=\"x\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{STRANGE}\r\n--{BOUNDARY}\r\n\
             Content-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n\
             {part}\r\n--{BOUNDARY}--\r\n"
        );
        let request = HttpRequest {
            method: Method::Put,
            url: format!("{ADDRESS}/{}", path::UPLOAD_FILE),
            headers: vec![("content-type".to_owned(), format!("multipart/form-data; boundary={BOUNDARY}"))],
            body: body.into_bytes(),
        };
        self.note(|| "a stranger brings a file".to_owned());
        self.deliver_file(half, world::rogue(self), &request);
        let strange = |path: &std::path::PathBuf| std::fs::read(path).is_ok_and(|held| held == STRANGE.as_bytes());
        // A process that died keeps what it had begun until the next sweep.
        if !self.ends[0].is_down() && all_in(&half.folder(0)).iter().any(strange) {
            self.violate(Promise::OnlyWhoMayChanges, "what a stranger brings is on central's disk".to_owned());
        }
    }
}
